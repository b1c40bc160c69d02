//! What is wrong with a text that the grammar does not fit: what stands where it failed furthest, and what would fit.

use super::{Rule, compile_error};
use crate::flux::{ast::Span, diagnostic::FluxError};
use pest::error::{Error, ErrorVariant, InputLocation};

/// The error, and where in `text` the parse stopped. `base` is where the text given to pest begins.
pub fn describe(text: &str, base: usize, error: &Error<Rule>) -> (FluxError, usize) {
    let at = base
        + match error.location {
            InputLocation::Pos(at) => at,
            InputLocation::Span((at, _)) => at,
        };
    let found = token(text, at);
    let span = Span { start: at as u32, stop: (at + found.len()) as u32 };
    let message = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => {
            let shown = if found.is_empty() { "the end of the script" } else { found };
            format!("expected {}, found {shown}{}", expected(positives), hint(text, at, found, positives))
        }
        // pest's guard of the stack.
        ErrorVariant::CustomError { .. } => "the expression is nested too deeply; give parts of it names".to_string(),
    };
    (compile_error(span, message), at)
}

/// What the rules that were tried stand for, the most telling alone where there is one.
fn expected(tried: &[Rule]) -> String {
    use Rule::*;
    let has = |rule: Rule| tried.contains(&rule);
    if has(close_quote) {
        return "the closing quote \" of a string".into();
    }
    if has(expr) && has(EOI) {
        return "a statement".into();
    }
    if has(expr) && has(rbrace) && !has(property) {
        return "a statement or `}`".into();
    }
    let mut out: Vec<&str> = vec![];
    let mut say = |words: &'static str| {
        if !out.contains(&words) {
            out.push(words);
        }
    };
    let operand = has(expr) || has(term) || has(ident) && (has(list) || has(paren) || has(record));
    if operand {
        say("an expression");
    }
    for rule in tried {
        match rule {
            property => say("`name: value`"),
            parameter => say("a parameter"),
            property_type | parameter_type | type_expr | function_type | list_type | record_type if !operand => say("a type"),
            ident if !operand => say("a name"),
            string if !operand && !has(ident) => say("a string"),
            block => say("`{`"),
            k_then => say("`then`"),
            k_else => say("`else`"),
            arrow => say("`=>`"),
            assigns if tried.len() == 1 => say("`=`"),
            colon => say("`:`"),
            dot => say("`.`"),
            comma if !has(property) && !has(parameter) && !operand => say("`,`"),
            lparen => say("`(`"),
            lbrace => say("`{`"),
            rbrace => say("`}`"),
            rbracket => say("`]`"),
            rparen => say("`)`"),
            _ => {}
        }
    }
    match out.split_last() {
        None => "something else".into(),
        Some((last, [])) => (*last).into(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// What usually leads here.
fn hint(text: &str, at: usize, found: &str, tried: &[Rule]) -> String {
    let before = text[..at].trim_end();
    let word = found.starts_with(|c: char| c.is_alphabetic());
    if found.starts_with('\'') {
        return "; strings are written with double quotes".into();
    }
    if matches!(found, "&&" | "&") {
        return "; write `and`".into();
    }
    if matches!(found, "||" | "|") {
        return "; write `or`, and `|>` for a pipe".into();
    }
    if found == "!" {
        return "; write `not`".into();
    }
    if found == ";" {
        return "; statements need no separator".into();
    }
    if tried.contains(&Rule::property) && before.ends_with(['(', ',']) && !found.is_empty() && !matches!(found, ")" | "," | "}") {
        return "; arguments and properties are named".into();
    }
    if word && before.ends_with('.') {
        return format!("; a reserved word is written [\"{found}\"]");
    }
    String::new()
}

/// The token at a byte of the text, cut where it is long; empty at the end.
fn token(text: &str, at: usize) -> &str {
    const LENGTH_MAX: usize = 24;
    let rest = &text[at..];
    let Some(first) = rest.chars().next() else { return "" };
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let end = if word(first) {
        rest.find(|c: char| !word(c)).unwrap_or(rest.len())
    } else if first == '"' {
        rest[1..].find(['"', '\n']).map_or(rest.len(), |quote| quote + 1 + usize::from(rest[1 + quote..].starts_with('"')))
    } else {
        let pair = rest.get(..2).filter(|t| ["|>", "==", "!=", "=~", "!~", "<=", ">=", "=>", "<-", "&&", "||"].contains(t));
        pair.map_or(first.len_utf8(), str::len)
    };
    rest[..end].char_indices().nth(LENGTH_MAX).map_or(&rest[..end], |(cut, _)| &rest[..cut])
}

/// Where reading can go on after an error: the next line after `at` that begins, without indent, with a keyword or an
/// assignment. What stands in brackets is usually indented.
pub fn next_statement(text: &str, at: usize) -> Option<usize> {
    let mut from = at;
    loop {
        from += text[from..].find('\n')? + 1;
        let line = &text[from..];
        let word = line.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(line.len());
        let (name, after) = line.split_at(word);
        let after = after.trim_start_matches([' ', '\t']);
        let assigns = after.starts_with('=') && !["==", "=~", "=>"].iter().any(|t| after.starts_with(t));
        let keyword = matches!(name, "option" | "import" | "testcase" | "builtin") && line[word..].starts_with(' ');
        if keyword || assigns && !name.is_empty() && !name.starts_with(|c: char| c.is_numeric()) {
            return Some(from);
        }
    }
}
