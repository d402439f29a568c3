//! The Chinese pages are in step with the English ones: same headings, same blocks, same tables.

use std::fs;
use std::path::Path;

use super::{ROOT, read};

/// Each translated page, and what it translates.
fn translations() -> Vec<(String, String)> {
    let pages = fs::read_dir(Path::new(ROOT).join("docs/zh-CN")).unwrap();
    let pages = pages.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pairs: Vec<_> = pages.map(|name| (format!("docs/zh-CN/{name}"), format!("docs/{name}"))).collect();
    pairs.push(("README.zh-CN.md".to_owned(), "README.md".to_owned()));
    pairs.sort();
    pairs
}

/// What a translation keeps of a page, one thing a line, so that a difference can be found.
fn skeleton(text: &str) -> Vec<String> {
    let (mut skeleton, mut block) = (Vec::new(), None::<&str>);
    for line in text.lines().map(str::trim_start) {
        match (line.strip_prefix("```"), block) {
            (Some(language), None) => {
                skeleton.push(format!("a block of {language}"));
                block = Some(language);
            }
            (Some(_), Some(_)) => block = None,
            // A picture of words.
            (None, Some("text")) => {}
            (None, Some("console" | "sh" | "json")) => skeleton.push(line.to_owned()),
            (None, Some(_)) => skeleton.push(without_comment(line).to_owned()),
            (None, None) if line.starts_with('#') => skeleton.push(heading(line)),
            (None, None) if line.starts_with('|') => skeleton.push(format!("| {}", codes(line).join(" "))),
            (None, None) => {}
        }
    }
    skeleton
}

/// Code up to a comment, which is translated.
fn without_comment(line: &str) -> &str {
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let starts = ["// ", "# "].into_iter().flat_map(|mark| line.match_indices(mark).map(|(at, _)| at));
    line[..starts.filter(begins).min().unwrap_or(line.len())].trim_end()
}

/// The level of a heading; and its words, where they are a name.
fn heading(line: &str) -> String {
    let (marks, words) = line.split_once(' ').unwrap_or((line, ""));
    let is_name = words.starts_with("AuthTicket") || words.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    if is_name { line.to_owned() } else { marks.to_owned() }
}

/// What stands in backticks, sorted: languages differ in their order.
fn codes(line: &str) -> Vec<&str> {
    let mut codes: Vec<_> = line.split('`').skip(1).step_by(2).collect();
    codes.sort_unstable();
    codes
}

#[test]
fn every_chinese_page_has_the_headings_blocks_and_tables_of_the_english_one() {
    let (mut faults, pairs) = (Vec::new(), translations());
    assert!(pairs.len() > 3, "{pairs:?}");
    for (chinese, english) in pairs {
        let [have, want] = [&chinese, &english].map(|page| skeleton(&read(page)));
        assert!(want.len() > 10, "{english}: {want:?}");
        let is_equal = |(have, want): (&String, &String)| have == want;
        let at = have.iter().zip(&want).take_while(|pair| is_equal(*pair)).count();
        if have.len() != want.len() || at < want.len() {
            let [have, want] = [have, want].map(|lines| lines.get(at).cloned().unwrap_or_else(|| "its end".to_owned()));
            faults.push(format!("{english}: {want:?}\n{chinese}: {have:?}"));
        }
    }
    assert!(faults.is_empty(), "not in step, at first here:\n{}", faults.join("\n\n"));
}

#[test]
fn every_chinese_page_and_the_english_one_link_to_each_other() {
    for (chinese, english) in translations() {
        let text = read(&chinese);
        let link = if english == "README.md" { "[English](README.md)" } else { "[English](../" };
        assert!(text.lines().take(4).any(|line| line.contains(link)), "{chinese}: no {link}");
        let back = format!("[中文]({})", chinese.trim_start_matches("docs/"));
        assert!(read(&english).lines().take(4).any(|line| line.contains(&back)), "{english}: no {back}");
        let is_chinese = |c: &char| ('\u{4e00}'..='\u{9fff}').contains(c);
        assert!(text.chars().filter(is_chinese).count() > text.chars().count() / 10, "{chinese} is not in Chinese");
    }
}

/// What the tests above are worth.
#[test]
fn a_skeleton_has_what_is_not_translated() {
    let page = "# A b\n| `x` and `a` |\nwords\n```js\nf('// x') // why\n# y\n```\n```text\n-->\n```\n### AuthTicketDown\n## tt\n";
    let skeleton = skeleton(page);
    let expected = ["#", "| a x", "a block of js", "f('// x')", "", "a block of text", "### AuthTicketDown", "## tt"];
    assert_eq!(skeleton, expected);
}
