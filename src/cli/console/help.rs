//! `\help`: the console's commands, or what a Flux function does.

use super::{command::COMMANDS, vocabulary::members};
use crate::{
    cli::question::Language,
    flux::stdlib::{self, Function, Package, UNIVERSE},
    model::{Failure, Result},
};

pub fn text(topic: Option<&str>, language: Language) -> Result<String> {
    let Some(topic) = topic else { return Ok(overview(language)) };
    let packages = || std::iter::once(UNIVERSE).chain(stdlib::packages());
    if let Some(package) = packages().find(|p| p.path == topic || (p.name == topic && !std::ptr::eq(*p, UNIVERSE))) {
        return Ok(format!("import \"{}\"\n  {}\n", package.path, members(package).join(", ")));
    }
    let (of, name) = topic.rsplit_once('.').map_or((None, topic), |(of, name)| (Some(of), name));
    let mut found = packages().filter(|p| of.is_none_or(|of| p.name == of || p.path == of));
    found
        .find_map(|package| described(package, name))
        .ok_or_else(|| Failure::not_found(format!("there is no Flux function or package `{topic}`")))
}

fn described(package: &Package, name: &str) -> Option<String> {
    let import = if std::ptr::eq(package, UNIVERSE) { String::new() } else { format!("import \"{}\"\n", package.path) };
    if let Some(function) = (package.functions)().into_iter().find(|f| f.name == name) {
        let Function { name, signature, summary, examples, .. } = function;
        let examples: String = examples.iter().map(|e| format!("\n  {}\n", e.trim().replace('\n', "\n  "))).collect();
        return Some(format!("{import}{name}: {signature}\n{summary}\n{examples}"));
    }
    // A composition of the prelude is its own description.
    let start = package
        .prelude
        .find(&format!("\n{name} = "))
        .map(|at| at + 1)
        .or_else(|| package.prelude.starts_with(&format!("{name} = ")).then_some(0))?;
    let definition: Vec<&str> = package.prelude[start..]
        .lines()
        .enumerate()
        .take_while(|(i, line)| *i == 0 || line.starts_with([' ', '\t', '}', ')']))
        .map(|(_, l)| l)
        .collect();
    Some(format!("{import}{}\n", definition.join("\n")))
}

fn overview(language: Language) -> String {
    let commands: String = COMMANDS.iter().map(|(name, what)| format!("  {name:<20} {what}\n")).collect();
    let example = match language {
        Language::Flux => "from(bucket: \"demo\") |> range(start: -1h) |> filter(fn: (r) => r._measurement == \"cpu\") |> mean()",
        Language::InfluxQl => "SELECT mean(usage_idle) FROM cpu WHERE time > now() - 1h GROUP BY time(5m);",
        Language::Sql => "SELECT * FROM cpu WHERE time > now() - INTERVAL '1 hour' LIMIT 10;",
    };
    format!(
        "{commands}\nA question ends with `;` or an empty line, for instance\n\n  {example}\n\nTab completes; the arrow keys go through what was asked before.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_and_packages_are_described() {
        let help = |topic| text(Some(topic), Language::Flux);
        assert!(help("filter").expect("built in").starts_with("filter: ("));
        assert!(help("math.floor").expect("built in").starts_with("import \"math\"\nfloor: ("));
        assert!(help("aggregateWindow").expect("known").contains("aggregateWindow"));
        assert!(help("strings").expect("a package").contains("toUpper"));
        assert!(help("nothing_like_it").is_err());
        assert!(text(None, Language::Sql).expect("always").contains("\\quit"));
    }
}
