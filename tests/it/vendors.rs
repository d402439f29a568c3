//! Strict stand-ins for the platforms, written from the vendors' pages alone: they share no code with the server or its
//! simulator, and a server that sends anything but what the vendor documents is told so.
//!
//! A stand-in checks method, path, encoding, headers, signature and body of each request and answers as documented. The server
//! is the real one, in a process of its own.

mod alipay;
mod component;
mod dd;
mod jd;
mod kwai;
mod lark;
mod qq;
mod simulated;
mod simulated_corps;
mod swan;
mod tt;
mod vendor;
mod weixin_web;
mod wxwork;
mod xhs;
