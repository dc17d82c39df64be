//! What one line says: of a rule, of its score and other properties, of replacement tags, plugins and settings.

use super::directives::{self, Effect};
use super::line::{Line, split_word, words};
use super::reader::Reader;
use super::rule::{self, Test};
use super::shortcircuit::{SETTLING_PRIORITY, Shortcircuit};
use super::source::{Place, Severity};
use super::{Definition, Statement, StatementKind};

/// Rules of one set, and octets of their definitions: lists of 100,000 addresses that a program wrote as a rule each are within both, and
/// take 400 MB.
pub(super) const RULES_MAX: usize = 200_000;
const DEFINITIONS_OCTETS_MAX: usize = 16 << 20;

impl Reader<'_> {
    pub(super) fn line(&mut self, line: &Line, key_place: &Place, place: &Place) {
        let done = match line.key.as_str() {
            "header" | "body" | "rawbody" | "full" | "uri" | "uri_detail" | "mimeheader" | "meta" | "askdns" => {
                self.rule_line(line, place)
            }
            "score" => self.score_line(&line.value),
            "reuse" => self.reuse_line(&line.value, place),
            "describe" | "tflags" | "priority" => self.property_line(&line.key, &line.value),
            "shortcircuit" => self.shortcircuit_line(&line.value),
            "replace_tag" | "replace_pre" | "replace_inter" | "replace_post" | "replace_rules" => {
                self.replace_line(&line.key, &line.value, place)
            }
            "replace_start" | "replace_end" => Err("tags in patterns are always written as <TAG>".to_owned()),
            "loadplugin" | "tryplugin" => {
                self.plugin_line(line, place);
                Ok(())
            }
            "enable_compat" => {
                words(&line.value).for_each(|name| self.parsed.features.enable_compat(&name));
                Ok(())
            }
            _ => self.directive_line(line, key_place),
        };
        match done {
            Ok(()) => self.keep_statement(line, place),
            Err(message) => self.error(place.clone(), message),
        }
    }

    fn keep_statement(&mut self, line: &Line, place: &Place) {
        let kind = match line.key.as_str() {
            "header" | "body" | "rawbody" | "full" | "uri" | "uri_detail" | "mimeheader" | "meta" | "askdns" => {
                StatementKind::Test
            }
            "score" => StatementKind::Score,
            "describe" => StatementKind::Describe,
            "tflags" => StatementKind::Flags,
            _ => return,
        };
        let rule = String::from_utf8_lossy(split_word(&line.value).0).into_owned();
        self.parsed.statements.push(Statement { kind, rule, place: place.clone() });
    }

    fn rule_line(&mut self, line: &Line, place: &Place) -> Result<(), String> {
        let (name, definition) = split_word(&line.value);
        let name = rule_name(name)?;
        if !self.has_room(&name, definition.len(), place) {
            return Ok(());
        }
        let mut test = Test::read(&line.key, definition).map_err(|error| format!("rule {name}: {error}"))?;
        if let (Test::UriDetail(clauses), Some(former)) = (&mut test, self.parsed.rules.get(&name)) {
            // Clauses of a rule that stands on several lines add up.
            if let Test::UriDetail(former) = &former.test {
                let kept: Vec<_> =
                    former.iter().filter(|old| clauses.iter().all(|new| new.key != old.key)).cloned().collect();
                clauses.extend(kept);
            }
        }
        self.parsed.rules.insert(name, Definition { test, place: place.clone() });
        Ok(())
    }

    /// Whether one more definition is within the limits. The first that is not is an error; so would be each one that follows.
    fn has_room(&mut self, name: &str, octets: usize, place: &Place) -> bool {
        let is_new = !self.parsed.rules.contains_key(name);
        let limit = if is_new && self.parsed.rules.len() >= RULES_MAX {
            format!("{RULES_MAX} rules")
        } else if self.defined.saturating_add(octets) > DEFINITIONS_OCTETS_MAX {
            format!("rules of {} MB", DEFINITIONS_OCTETS_MAX >> 20)
        } else {
            self.defined += octets;
            return true;
        };
        if self.noted.insert(limit.clone()) {
            let message =
                format!("{limit} were read before, which is the limit; {name} and those that follow are left out");
            self.error(place.clone(), message);
        }
        false
    }

    fn score_line(&mut self, value: &[u8]) -> Result<(), String> {
        let mut fields = words(value);
        let name = fields.next().ok_or("a rule name is missing")?;
        let mut is_relative = false;
        let mut points = Vec::new();
        for field in fields {
            let inner = field.strip_prefix('(').and_then(|field| field.strip_suffix(')'));
            is_relative |= inner.is_some();
            points.push(read_points(inner.unwrap_or(&field)).ok_or_else(|| format!("`{field}` is no score"))?);
        }
        let points = match points.as_slice() {
            [one] => [*one; 4],
            [a, b, c, d] => [*a, *b, *c, *d],
            _ => return Err("write one score or four".to_owned()),
        };
        let points = if is_relative {
            let former = self.parsed.scores.get(&name).ok_or("a relative score needs a score before it")?;
            std::array::from_fn(|set| former.get(set).unwrap_or(&0.0) + points.get(set).unwrap_or(&0.0))
        } else {
            points
        };
        self.parsed.scores.insert(name, points);
        Ok(())
    }

    fn reuse_line(&mut self, value: &[u8], place: &Place) -> Result<(), String> {
        let name = rule_name(split_word(value).0)?;
        if !self.has_room(&name, 0, place) {
            return Ok(());
        }
        let definition = || Definition { test: Test::Empty, place: place.clone() };
        self.parsed.rules.entry(name).or_insert_with(definition);
        Ok(())
    }

    fn property_line(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        let (name, value) = split_word(value);
        let name = String::from_utf8_lossy(name).into_owned();
        let value = String::from_utf8_lossy(value).into_owned();
        if name.is_empty() || value.is_empty() {
            return Err(format!("`{key}` needs a rule name and a value"));
        }
        match key {
            "describe" => self.parsed.descriptions.insert(name, value),
            "tflags" => self.parsed.flags.insert(name, value),
            _ => {
                let priority = value.parse().map_err(|_| format!("`{value}` is no priority"))?;
                self.parsed.priorities.insert(name, priority);
                None
            }
        };
        Ok(())
    }

    /// `spam` and `ham` say more than that the rule settles the matter: they replace a priority of 0, and add flags.
    fn shortcircuit_line(&mut self, value: &[u8]) -> Result<(), String> {
        let fields: Vec<String> = words(value).collect();
        let [name, how] = fields.as_slice() else {
            return Err("`shortcircuit` needs a rule name and one of on, off, spam and ham".to_owned());
        };
        let parsed = &mut self.parsed;
        if how == "off" {
            parsed.shortcircuits.remove(name);
            return Ok(());
        }
        let how = Shortcircuit::read(how).ok_or_else(|| format!("`{how}` is none of on, off, spam and ham"))?;
        parsed.shortcircuits.insert(name.clone(), how);
        if let Some(flags) = how.flags().filter(|_| parsed.features.is_loaded("Shortcircuit")) {
            let priority = parsed.priorities.entry(name.clone()).or_insert(0);
            if *priority == 0 {
                *priority = SETTLING_PRIORITY;
            }
            let text = parsed.flags.entry(name.clone()).or_default();
            *text = format!("{text} {flags}").trim_start().to_owned();
        }
        Ok(())
    }

    fn replace_line(&mut self, key: &str, value: &[u8], place: &Place) -> Result<(), String> {
        let replacements = &mut self.parsed.replacements;
        if key == "replace_rules" {
            replacements.rules.extend(words(value).map(|name| (name, place.clone())));
            return Ok(());
        }
        let (name, text) = split_word(value);
        if text.is_empty() {
            return Err(format!("`{key}` needs a name and a pattern"));
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let table = match key {
            "replace_tag" => &mut replacements.tags,
            "replace_pre" => &mut replacements.pre,
            "replace_inter" => &mut replacements.inter,
            _ => &mut replacements.post,
        };
        table.insert(name, text.to_vec());
        Ok(())
    }

    fn plugin_line(&mut self, line: &Line, place: &Place) {
        let class = words(&line.value).next().unwrap_or_default();
        if !self.parsed.features.load(&class) && self.noted.insert(class.clone()) && line.key == "loadplugin" {
            let message = format!("the plugin {class} is not known; its directives and eval tests are left out");
            self.remark(place.clone(), Severity::Warning, message);
        }
    }

    fn directive_line(&mut self, line: &Line, place: &Place) -> Result<(), String> {
        match directives::apply(&mut self.parsed.settings, &line.key, &line.value)? {
            Effect::Taken => Ok(()),
            Effect::Ignored(reason) => {
                if self.noted.insert(line.key.clone()) {
                    let message = format!("`{}` has no effect here: {reason}", line.key);
                    self.remark(place.clone(), Severity::Note, message);
                }
                Ok(())
            }
            Effect::Unknown => {
                self.error(place.clone(), format!("`{}` is no directive", line.key));
                Ok(())
            }
        }
    }
}

fn rule_name(name: &[u8]) -> Result<String, String> {
    let name = String::from_utf8_lossy(name).into_owned();
    if rule::is_rule_name(&name) {
        Ok(name)
    } else {
        Err(format!("`{name}` is no rule name; use letters, digits and `_`"))
    }
}

/// `-1.5`, `2`: no exponents, no signs but minus.
fn read_points(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && !digits.ends_with('.')
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_number { text.parse().ok() } else { None }
}
