//! Reads one section of a configuration key by key, and collects what is wrong with it.
//!
//! Invariants: whatever was not asked for by the end of a section is reported as unknown; a value of the wrong kind is
//! reported and read as absent, so that one mistake doesn't hide the next; a key whose feature isn't there yet passes
//! only with the value that says so ([`Harmless`]).

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Fault, Mistake, nearest};

/// A whole file, and what was found wrong with it so far.
pub struct Source<'a> {
    file: &'a Path,
    text: &'a str,
    mistakes: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<Mistake>>,
}

/// The value of a key that isn't supported yet with which nothing is missed.
pub enum Harmless {
    /// No value: whoever writes the key wants the feature.
    None,
    /// That text.
    Text(&'static str),
    /// That truth.
    Flag(bool),
    /// That number.
    Number(u64),
    /// Those texts, in any order.
    Texts(&'static [&'static str]),
    /// Any text: it has no effect as long as other keys hold their harmless values.
    AnyText,
    /// Any number, likewise.
    AnyNumber,
    /// Either truth, likewise.
    AnyFlag,
    /// Any list of texts, likewise.
    AnyTexts,
}

impl<'a> Source<'a> {
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        Source { file, text, mistakes: RefCell::default(), warnings: RefCell::default() }
    }

    /// The table of the whole file; what isn't TOML is reported, and then the rest isn't looked at.
    pub fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let line = error.span().map(|span| self.line(span.start));
            let fault = Fault::Text(error.message().to_string());
            self.push(Mistake { file: Some(self.file.into()), line, key: String::new(), value: None, fault });
        }
        errors.is_empty().then_some(table)
    }

    pub fn root<'s>(&'s self, table: &'s DeTable<'a>) -> Section<'s, 'a> {
        Section { source: self, path: String::new(), table, known: Vec::new(), start: 0 }
    }

    /// The mistakes, or where there is none the warnings, in the order of the file.
    pub fn finish(self) -> Result<Vec<Mistake>, Vec<Mistake>> {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by_key(|mistake| mistake.line);
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|warning| warning.line);
        if mistakes.is_empty() { Ok(warnings) } else { Err(mistakes) }
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|&octet| octet == b'\n').count()
    }

    fn push(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().push(mistake);
    }

    fn written(&self, span: Range<usize>) -> Option<String> {
        self.text.get(span).map(str::to_string)
    }
}

/// One table of the file.
pub struct Section<'s, 'a> {
    source: &'s Source<'a>,
    path: String,
    table: &'s DeTable<'a>,
    known: Vec<&'static str>,
    start: usize,
}

impl<'s, 'a> Section<'s, 'a> {
    fn value(&mut self, key: &'static str) -> Option<&'s Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// Whether the key is written at all.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The section as it is named to the administrator.
    pub fn name(&self) -> &str {
        &self.path
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    /// The line of a key, or that of the section where the key isn't written.
    pub fn line(&self, key: &str) -> usize {
        let written = self.table.keys().find(|written| written.get_ref().as_ref() == key);
        self.source.line(written.map_or(self.start, |written| written.span().start))
    }

    fn mistake(&self, key: &str, fault: Fault) -> Mistake {
        let value = self.table.get(key).filter(|value| !value.get_ref().is_table());
        Mistake {
            file: Some(self.source.file.into()),
            line: Some(self.line(key)),
            key: match key {
                "" if self.path.is_empty() => "the configuration".to_string(),
                "" => self.path.clone(),
                _ => self.key_path(key),
            },
            value: value.and_then(|value| self.source.written(value.span())),
            fault,
        }
    }

    /// Reports the value of `key`; an empty key is the section itself.
    pub fn wrong(&self, key: &str, expected: impl Into<String>) {
        self.source.push(self.mistake(key, Fault::Wrong { expected: expected.into() }));
    }

    /// Reports what is allowed and probably not meant.
    pub fn warn(&self, key: &str, expected: impl Into<String>) {
        let warning = self.mistake(key, Fault::Wrong { expected: expected.into() });
        self.source.warnings.borrow_mut().push(warning);
    }

    /// Reports a feature that isn't there.
    pub fn unsupported(&self, key: &str) {
        self.source.push(self.mistake(key, Fault::Unsupported));
    }

    /// A text without CR, LF and NUL: it may go into a protocol's line.
    pub fn text(&mut self, key: &'static str) -> Option<&'s str> {
        let value = self.value(key)?;
        match value.get_ref().as_str() {
            Some(text) if text.contains(['\r', '\n', '\0']) => self.wrong(key, "a text without CR, LF and NUL"),
            Some(text) => return Some(text),
            None => self.wrong(key, "a text in quotes"),
        }
        None
    }

    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        let flag = self.value(key)?.get_ref().as_bool();
        if flag.is_none() {
            self.wrong(key, "true or false");
        }
        flag
    }

    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let number = integer(self.value(key)?.get_ref()).filter(|number| range.contains(number));
        if number.is_none() {
            self.wrong(key, format!("a number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// `duration = 1*DIGIT ("ms" / "s" / "m" / "h" / "d")`
    pub fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let duration = self.value(key)?.get_ref().as_str().and_then(duration).filter(|it| range.contains(it));
        if duration.is_none() {
            let (least, most) = (range.start().as_secs_f64(), range.end().as_secs_f64());
            self.wrong(key, format!("a time like \"30m\" (ms, s, m, h, d) of {least} to {most} seconds"));
        }
        duration
    }

    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.value(key)?.get_ref().as_str();
        let chosen = choices.iter().find(|(name, _)| Some(*name) == text).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.wrong(key, names.join(" or "));
        }
        chosen
    }

    pub fn texts(&mut self, key: &'static str) -> Option<Vec<&'s str>> {
        let texts = texts(self.value(key)?.get_ref());
        if texts.is_none() {
            self.wrong(key, "a list of texts, [\"…\", \"…\"]");
        }
        texts
    }

    pub fn section(&mut self, key: &'static str) -> Option<Section<'s, 'a>> {
        let value = self.value(key)?;
        let start = value.span().start;
        let (source, path) = (self.source, self.key_path(key));
        match value.get_ref().as_table() {
            Some(table) => Some(Section { source, path, table, known: Vec::new(), start }),
            None => {
                self.wrong(key, format!("a section, [{path}]"));
                None
            }
        }
    }

    /// The sections of `[[key]]`, counted from 1 in what is said of them.
    pub fn sections(&mut self, key: &'static str) -> Vec<Section<'s, 'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let (source, path) = (self.source, self.key_path(key));
        let tables = value.get_ref().as_array().map(|array| {
            array.iter().map(|item| item.get_ref().as_table().map(|table| (table, item.span().start))).collect()
        });
        let Some(Some(tables)): Option<Option<Vec<_>>> = tables else {
            self.wrong(key, format!("sections, [[{path}]]"));
            return Vec::new();
        };
        let section = |(number, (table, start)): (usize, (&'s DeTable<'a>, usize))| Section {
            source,
            path: format!("{path}[{}]", number + 1),
            table,
            known: Vec::new(),
            start,
        };
        tables.into_iter().enumerate().map(section).collect()
    }

    /// A key of the contract whose feature isn't there yet.
    pub fn later(&mut self, key: &'static str, harmless: &Harmless) {
        let Some(value) = self.value(key) else { return };
        let value = value.get_ref();
        let passes = match harmless {
            Harmless::None => false,
            Harmless::Text(text) => value.as_str() == Some(text),
            Harmless::Flag(flag) => value.as_bool() == Some(*flag),
            Harmless::Number(number) => integer(value) == Some(*number),
            Harmless::Texts(expected) => texts(value)
                .is_some_and(|texts| texts.len() == expected.len() && expected.iter().all(|text| texts.contains(text))),
            Harmless::AnyText => value.is_str(),
            Harmless::AnyNumber => value.is_integer(),
            Harmless::AnyFlag => value.is_bool(),
            Harmless::AnyTexts => texts(value).is_some(),
        };
        if !passes {
            self.unsupported(key);
        }
    }

    /// Many at once.
    pub fn all_later(&mut self, keys: &[(&'static str, Harmless)]) {
        keys.iter().for_each(|(key, harmless)| self.later(key, harmless));
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        for key in self.table.keys() {
            let text = key.get_ref().as_ref();
            if !self.known.contains(&text) {
                let nearest = nearest(text, &self.known);
                self.source.push(self.mistake(text, Fault::Unknown { nearest }));
            }
        }
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn texts<'s>(value: &'s DeValue<'_>) -> Option<Vec<&'s str>> {
    value.as_array()?.iter().map(|item| item.get_ref().as_str()).collect()
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, millis) in
            [("2s", 2000), ("30m", 1_800_000), ("250ms", 250), ("5d", 432_000_000), ("0s", 0), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "m", "-1s", "1.5h", "1 h", "30M", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }
}
