//! Fenced blocks of a document, with the comment that stands before each.

/// What is done with a block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum How {
    Run { setup: String, values: Vec<(String, String)> },
    RunBy(String),
    NotRun(String),
    File(String),
    Unmarked,
}

impl How {
    fn parse(comment: &str) -> Self {
        if let Some(words) = comment.strip_prefix("run: ") {
            let mut words = words.split_whitespace();
            let setup = words.next().unwrap_or_default().to_owned();
            let values = words.filter_map(|word| word.split_once('=')).map(|(name, value)| (name.into(), value.into()));
            return Self::Run { setup, values: values.collect() };
        }
        let rest = |mark| comment.strip_prefix(mark).map(str::to_owned);
        let by = rest("run by ").map(Self::RunBy);
        let how = by.or_else(|| rest("not run: ").map(Self::NotRun)).or_else(|| rest("file: ").map(Self::File));
        how.unwrap_or(Self::Unmarked)
    }
}

/// What a reader types, and what the document says that comes of it: `None` where a block shows no output at all.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Step {
    pub(super) typed: String,
    pub(super) shown: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    /// `README.md:12`
    pub(super) place: String,
    language: String,
    pub(super) how: How,
    /// Without the block's own indentation.
    pub(super) lines: Vec<String>,
}

impl Block {
    /// Whether it is typed into a shell.
    pub(super) fn is_typed(&self) -> bool {
        ["console", "sh", "bash", "shell"].contains(&&*self.language)
    }

    /// With `$ ` before what is typed, the rest is output. Without, every line is typed.
    pub(super) fn steps(&self) -> Vec<Step> {
        let is_session = self.lines.iter().any(|line| line.starts_with("$ "));
        let (mut steps, mut goes_on) = (Vec::<Step>::new(), false);
        for line in &self.lines {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (_, Some(step)) if goes_on => step.typed.extend(["\n", line]),
                (Some(typed), _) => steps.push(Step { typed: typed.to_owned(), shown: None }),
                (None, _) if !is_session => steps.push(Step { typed: line.clone(), shown: None }),
                (None, Some(step)) => step.shown.get_or_insert_default().extend([line, "\n"]),
                (None, None) => panic!("{}: output before anything was typed: {line}", self.place),
            }
            goes_on = line.ends_with('\\');
        }
        // Where some output is shown, all of it is.
        if steps.iter().any(|step| step.shown.is_some()) {
            for step in &mut steps {
                step.shown.get_or_insert_default();
            }
        }
        steps
    }
}

/// The blocks of the document called `name`.
pub(super) fn read(name: &str, text: &str) -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None::<(Block, usize)>);
    let mut before = "";
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        match (trimmed.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let comment = before.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
                let block = Block {
                    place: format!("{name}:{}", number + 1),
                    language: language.trim().to_owned(),
                    how: comment.map_or(How::Unmarked, How::parse),
                    lines: Vec::new(),
                };
                open = Some((block, indent));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(block, _)| block)),
            (None, Some((block, indent))) => block.lines.push(line.get(*indent..).unwrap_or_default().to_owned()),
            (None, None) => {}
        }
        before = line;
    }
    assert!(open.is_none(), "{name}: a block has no end");
    blocks
}

#[test]
fn a_block_has_what_the_comment_right_before_it_says() {
    let how = |before: &str| read("x.md", &format!("{before}\n  ```console\n  $ true\n  ```\n")).remove(0).how;
    let values = vec![("CODE".to_owned(), "demo-alice-1".to_owned())];
    assert_eq!(how("  <!-- run: empty CODE=demo-alice-1 -->"), How::Run { setup: "empty".to_owned(), values });
    assert_eq!(how("<!-- run by a::b -->"), How::RunBy("a::b".to_owned()));
    assert_eq!(how("<!-- not run: needs a phone -->"), How::NotRun("needs a phone".to_owned()));
    for none in ["", "text", "<!-- run: empty -->\n", "<!-- something else -->"] {
        assert_eq!(how(none), How::Unmarked, "{none}");
    }
}

#[test]
fn a_step_is_what_is_typed_and_what_is_shown() {
    let steps = |text: &str| read("x.md", &format!("```console\n{text}```\n")).remove(0).steps();
    let step = |typed: &str, shown: Option<&str>| Step { typed: typed.to_owned(), shown: shown.map(str::to_owned) };
    assert_eq!(steps("$ a \\\n  b\nx\ny\n$ c\n"), [step("a \\\n  b", Some("x\ny\n")), step("c", Some(""))]);
    assert_eq!(steps("$ a\n$ b\n"), [step("a", None), step("b", None)]);
    assert_eq!(steps("a \\\n  b\nc\n"), [step("a \\\n  b", None), step("c", None)]);
}
