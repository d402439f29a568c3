//! What a row of the table of settings is.

/// One setting. Texts and durations stand in the table without their quotes.
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: ValueType,
    /// What holds when it is left out.
    pub(super) default: Option<&'static str>,
    /// For messages.
    pub(super) example: &'static str,
    /// For the example configuration and the manual; the bounds are added to it.
    pub(super) about: &'static str,
}

/// What may stand there.
#[derive(Clone, Copy)]
pub(super) enum ValueType {
    Text,
    /// With a unit, between the two.
    Duration(&'static str, &'static str),
    /// Between the two.
    Integer(usize, usize),
    Boolean,
    /// Of texts.
    List,
    /// A table of the owner's own names and values.
    Claims,
}

/// `[name]` or `[[name]]`.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) repeats: Repeats,
    pub(super) about: &'static str,
    pub(super) settings: &'static [Setting],
}

/// How often a table may stand in a file.
#[derive(Eq, PartialEq)]
pub(super) enum Repeats {
    Never,
    AtLeastOnce,
    AnyTimes,
    /// `[name.NAME]`, any number of them, with names of the owner's own. No variable sets what stands there.
    Named,
}

impl Setting {
    /// With another example than the default.
    pub(super) const fn such_as(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    /// `value` as TOML.
    pub(super) fn literal(&self, value: &str) -> String {
        match self.value {
            ValueType::Text | ValueType::Duration(..) => format!("{value:?}"),
            ValueType::Integer(..) | ValueType::Boolean | ValueType::List | ValueType::Claims => value.to_owned(),
        }
    }

    /// What it is for, and its bounds.
    pub(super) fn description(&self) -> String {
        match self.value {
            ValueType::Duration(least, most) => format!("{} From \"{least}\" to \"{most}\".", self.about),
            ValueType::Integer(least, most) => format!("{} From {least} to {most}.", self.about),
            _ => self.about.to_owned(),
        }
    }
}

impl Table {
    pub(super) fn is_repeated(&self) -> bool {
        matches!(self.repeats, Repeats::AtLeastOnce | Repeats::AnyTimes)
    }

    pub(super) fn is_named(&self) -> bool {
        self.repeats == Repeats::Named
    }

    pub(super) fn setting(&self, name: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Where its setting `name` stands: `app[0].appid`, `ticket.ttl`, `listen`.
    pub(super) fn path(&self, index: &str, name: &str) -> String {
        let table = match self.repeats {
            Repeats::Never => self.name.to_owned(),
            Repeats::AtLeastOnce | Repeats::AnyTimes => format!("{}[{index}]", self.name),
            Repeats::Named => format!("{}.NAME", self.name),
        };
        join(&table, name)
    }

    /// The setting whose name in variables is `upper`.
    pub(super) fn setting_in_upper_case(&self, upper: &str) -> Option<&'static str> {
        self.settings.iter().map(|setting| setting.name).find(|name| name.to_ascii_uppercase() == upper)
    }
}

/// `app[0].appid` and the like: `name` under `prefix`, which is empty at the top level.
pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}
