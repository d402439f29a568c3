//! THE list of platforms. A platform is one row here, one folder below `platform` and one below `simulator`.

use super::alipay;
use super::dd;
use super::jd;
use super::kwai;
use super::lark;
use super::qq;
use super::setup::Kind;
use super::swan;
use super::tt;
use super::weapp;
use super::weixin_web;
use super::wxwork;
use super::xhs;

/// All platforms, in the order in which documents list them.
#[rustfmt::skip]
pub const ALL: &[&Kind] = &[
    &weapp::KIND,
    &tt::KIND,
    &alipay::KIND,
    &swan::KIND,
    &qq::KIND,
    &kwai::KIND,
    &xhs::KIND,
    &jd::KIND,
    &dd::KIND,
    &lark::KIND,
    &wxwork::KIND,
    &weixin_web::KIND,
];

/// The kind of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.name == name)
}
