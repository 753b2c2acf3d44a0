//! Chat templates, rendered as `transformers` configures jinja2: trimmed blocks, loop controls,
//! Python's methods of strings and dictionaries, and the functions that published templates call.

use crate::memory::{limited, Budget};
use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind};
use serde_json::Value as Json;
use std::io::Write;

/// Of untrusted templates: instructions of one rendering, bytes of its result, bytes of its memory.
const MAX_FUEL: u64 = 2_000_000;
const MAX_OUTPUT_BYTES: usize = 16 << 20;
const MEMORY: Budget = Budget { held: 128 << 20, total: 2 << 30 };
const NAME: &str = "chat_template";

pub struct Template {
    environment: Environment<'static>,
}

impl Template {
    pub fn new(source: &str) -> Result<Template, String> {
        limited(MEMORY, || Self::compile(source))
    }

    fn compile(source: &str) -> Result<Template, String> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(MAX_FUEL));
        environment.set_unknown_method_callback(python_method);
        environment.add_filter("trim", trim);
        // Python cannot iterate over None.
        environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", to_json);
        environment
            .add_template_owned(NAME, without_generation_marks(source))
            .map_err(|e| describe(&e))?;
        Ok(Template { environment })
    }

    /// `variables`: a JSON object.
    pub fn render(&self, variables: &str) -> Result<String, String> {
        limited(MEMORY, || self.render_within_budget(variables))
    }

    fn render_within_budget(&self, variables: &str) -> Result<String, String> {
        let variables: Json = serde_json::from_str(variables).map_err(|e| e.to_string())?;
        let template = self.environment.get_template(NAME).map_err(|e| describe(&e))?;
        let mut output = Bounded(Vec::new());
        template
            .render_captured_to(Value::from_serialize(&variables), &mut output)
            .map_err(|e| describe(&e))?;
        String::from_utf8(output.0).map_err(|e| e.to_string())
    }
}

struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT_BYTES {
            return Err(std::io::Error::other(format!("it writes more than {MAX_OUTPUT_BYTES} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One line: what the template says of itself, else the kind of error and the line of the template.
fn describe(error: &Error) -> String {
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(raised) = inner.downcast_ref::<Raised>() {
            return format!("it refuses these messages: {}", raised.0);
        }
        cause = inner.source();
    }
    let line = error.line().map_or(String::new(), |line| format!("line {line}: "));
    let detail = error.detail().map_or(String::new(), |detail| format!(": {detail}"));
    format!("{line}{}{detail}", error.kind())
}

/// What Python's str.isspace takes for white space, which is four characters more than Unicode's.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// Methods of Python's objects.
fn python_method(
    state: &minijinja::State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if let (Some(text), []) = (value.as_str(), args) {
        match method {
            "strip" => return Ok(text.trim_matches(is_space).into()),
            "lstrip" => return Ok(text.trim_start_matches(is_space).into()),
            "rstrip" => return Ok(text.trim_end_matches(is_space).into()),
            "split" => {
                return Ok(text.split(is_space).filter(|part| !part.is_empty()).map(Value::from).collect())
            }
            _ => {}
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

fn trim(text: String, letters: Option<String>) -> String {
    match letters {
        Some(letters) => text.trim_matches(|letter| letters.contains(letter)).into(),
        None => text.trim_matches(is_space).into(),
    }
}

/// What a template raises.
#[derive(Debug)]
struct Raised(String);
impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Raised {}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

/// A prompt must not depend on the day: it is always 26 July 2024, which published templates use
/// when they have no clock.
fn strftime_now(format: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let code = letters.next().unwrap_or('%');
        let plain = if code == '-' { letters.next().unwrap_or('%') } else { code };
        let part = match plain {
            'Y' => "2024",
            'y' => "24",
            'm' => "07",
            'B' => "July",
            'b' | 'h' => "Jul",
            'd' | 'e' => "26",
            'A' => "Friday",
            'a' => "Fri",
            'j' => "208",
            'u' | 'w' => "5",
            'H' | 'M' | 'S' => "00",
            'I' => "12",
            'p' => "AM",
            'F' => "2024-07-26",
            'T' | 'X' => "00:00:00",
            'R' => "00:00",
            'D' | 'x' => "07/26/24",
            'c' => "Fri Jul 26 00:00:00 2024",
            'Z' => "UTC",
            'z' => "+0000",
            'n' => "\n",
            't' => "\t",
            '%' => "%",
            other => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("strftime_now: unknown code %{other}"),
                ))
            }
        };
        // %-d and the like leave out the zero.
        let part = if code == '-' && part.len() == 2 { part.strip_prefix('0').unwrap_or(part) } else { part };
        out.push_str(part);
    }
    Ok(out)
}

/// json.dumps with ensure_ascii=False, as transformers defines the filter.
fn to_json(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let indent = match indent.or(options.get::<Option<Value>>("indent")?) {
        Some(width) if !width.is_none() => Some(usize::try_from(width).map_err(|_| {
            Error::new(ErrorKind::InvalidOperation, "tojson: indent must be a number")
        })?),
        _ => None,
    };
    let ensure_ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let separators: Option<Vec<String>> = options.get("separators")?;
    options.assert_all_used()?;
    let json: Json = serde_json::to_value(value)
        .map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    let (comma, colon) = match separators.as_deref() {
        Some([comma, colon]) => (comma.clone(), colon.clone()),
        _ => (if indent.is_some() { "," } else { ", " }.into(), ": ".into()),
    };
    let mut out = String::new();
    JsonStyle { indent, ensure_ascii, sort_keys, comma, colon }.write(&json, 0, &mut out);
    Ok(Value::from_safe_string(out))
}

struct JsonStyle {
    indent: Option<usize>,
    ensure_ascii: bool,
    sort_keys: bool,
    comma: String,
    colon: String,
}

impl JsonStyle {
    fn line(&self, depth: usize, out: &mut String) {
        if let Some(width) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', width.min(64) * depth));
        }
    }

    fn write(&self, value: &Json, depth: usize, out: &mut String) {
        match value {
            Json::String(text) => self.write_string(text, out),
            Json::Array(items) if !items.is_empty() => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { &self.comma });
                    self.line(depth + 1, out);
                    self.write(item, depth + 1, out);
                }
                self.line(depth, out);
                out.push(']');
            }
            Json::Object(fields) if !fields.is_empty() => {
                let mut fields: Vec<_> = fields.iter().collect();
                if self.sort_keys {
                    fields.sort_by_key(|field| field.0.clone());
                }
                out.push('{');
                for (i, (name, item)) in fields.into_iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { &self.comma });
                    self.line(depth + 1, out);
                    self.write_string(name, out);
                    out.push_str(&self.colon);
                    self.write(item, depth + 1, out);
                }
                self.line(depth, out);
                out.push('}');
            }
            other => out.push_str(&other.to_string()), // null, true, 1, 2.5, [], {}
        }
    }

    fn write_string(&self, text: &str, out: &mut String) {
        out.push('"');
        for letter in text.chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                control if (control as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", control as u32)),
                wide if self.ensure_ascii && !wide.is_ascii() => {
                    for unit in wide.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                other => out.push(other),
            }
        }
        out.push('"');
    }
}

/// {% generation %} marks what an assistant wrote, for masks that Reckon computes in another way. A
/// block that is always rendered takes its place and keeps its control of white space.
fn without_generation_marks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let (tag, after) = tag.split_at(end + 2);
        let name = tag[2..end].trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        match name {
            "generation" => out.push_str(&tag.replacen("generation", "if true", 1)),
            "endgeneration" => out.push_str(&tag.replacen("endgeneration", "endif", 1)),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out + rest
}
