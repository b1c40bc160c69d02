//! Flux test files (`*_test.flux`): the testcases in them, each as a script of its own.
//!
//! A testcase becomes the imports and definitions of its file followed by its own statements, all at top level (Flux v0.200
//! `ast/testcase`). It fails when it raises an error or when its result `errorOutput` has rows. Running is not done here.

use super::{
    ast::{Expr, ExprKind, File, Import, Statement, StatementKind},
    diagnostic::{FluxError, FluxResult},
    parse_file,
};
use std::{collections::HashMap, sync::Arc};

/// The result that holds what a testcase found wrong.
pub const ERROR_OUTPUT: &str = "errorOutput";

/// One testcase.
#[derive(Debug, Clone)]
pub struct Testcase {
    /// The folder of its file, relative to the suite.
    pub package: String,
    pub name: String,
    /// Of the file and its own, in `option testing.tags`.
    pub tags: Vec<String>,
    /// Text that the script's spans point into.
    pub text: Arc<str>,
    pub script: File,
}

impl Testcase {
    /// Whether its file takes rows through `testing.load`, so that it can be run on stored ones.
    pub fn loads(&self) -> bool {
        self.text.contains("testing.load")
    }

    /// The same testcase with `testing.load` being `tables => load`.
    pub fn loading(&self, load: &str) -> FluxResult<Testcase> {
        // The file may import the package under any name; this one is ours.
        let option = parse_file(&format!("import _testing \"testing\"\noption _testing.load = (tables=<-) => {load}"))?;
        let mut out = self.clone();
        out.script.imports.extend(option.imports);
        out.script.body.splice(0..0, option.body);
        Ok(out)
    }

    /// `package.name`
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.package, self.name)
    }
}

/// A file of the suite.
#[derive(Debug)]
pub struct TestFile {
    /// Relative to the suite, with `/`: `universe/max_test.flux`.
    pub path: String,
    pub text: Arc<str>,
}

/// The testcases of `files`, in their order. `module` is the name that the suite's files call it by in `extends`.
///
/// Fails when a file does not parse, when a name is given twice in a package, or when a parent does not exist.
pub fn testcases(files: &[TestFile], module: &str) -> FluxResult<Vec<Testcase>> {
    let mut parsed = vec![];
    for file in files {
        let named = |e: FluxError| FluxError { message: format!("{}: {}", file.path, e.message), ..e };
        parsed.push((file, parse_file(&file.text).map_err(named)?));
    }
    let by_module: HashMap<String, &File> =
        parsed.iter().map(|(file, syntax)| (format!("{module}/{}", file.path.trim_end_matches(".flux")), syntax)).collect();
    let mut out: Vec<Testcase> = vec![];
    let mut seen: HashMap<String, &str> = HashMap::new();
    for (file, syntax) in &parsed {
        let package = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for statement in &syntax.body {
            let StatementKind::Testcase { name, extends, body } = &statement.kind else { continue };
            let own = Script::new(syntax, body);
            let script = match extends {
                None => own,
                Some(parent) => own.extending(&find(&by_module, parent)?)?,
            };
            let script = script.file();
            let testcase = Testcase {
                package: package.to_string(),
                name: name.name.to_string(),
                tags: tags(&script.body),
                text: file.text.clone(),
                script,
            };
            if let Some(other) = seen.insert(testcase.full_name(), &file.path) {
                let text = format!("testcase {} stands in {other} and in {}", testcase.full_name(), file.path);
                return Err(FluxError::invalid(text));
            }
            out.push(testcase);
        }
    }
    Ok(out)
}

/// A testcase in the making.
struct Script {
    imports: Vec<Import>,
    preamble: Vec<Statement>,
    body: Vec<Statement>,
}

impl Script {
    fn new(file: &File, body: &[Statement]) -> Script {
        let preamble = file.body.iter().filter(|s| !matches!(s.kind, StatementKind::Testcase { .. }));
        Script { imports: file.imports.clone(), preamble: preamble.cloned().collect(), body: body.to_vec() }
    }

    /// Its own preamble, the parent's, and its own body with the parent's in place of the first `super()`.
    fn extending(mut self, parent: &Script) -> FluxResult<Script> {
        let Some(at) = self.body.iter().position(is_super) else {
            return Err(FluxError::invalid("a testcase that extends another one calls `super()`"));
        };
        let new: Vec<Import> = parent.imports.iter().filter(|i| !self.imports.iter().any(|own| own.path == i.path)).cloned().collect();
        self.imports.extend(new);
        self.preamble.extend(parent.preamble.iter().cloned());
        self.body.splice(at..=at, parent.body.iter().cloned());
        Ok(self)
    }

    fn file(self) -> File {
        File { package: None, imports: self.imports, body: [self.preamble, self.body].concat() }
    }
}

fn is_super(statement: &Statement) -> bool {
    let StatementKind::Expression(Expr { kind: ExprKind::Call { callee, arguments }, .. }) = &statement.kind else { return false };
    arguments.is_empty() && matches!(&callee.kind, ExprKind::Ident(name) if name.as_ref() == "super")
}

/// The testcase that `module/folder/file.name` says.
fn find(files: &HashMap<String, &File>, path: &str) -> FluxResult<Script> {
    let missing = || FluxError::invalid(format!("there is no testcase {path} to extend"));
    let (file, wanted) = path.rsplit_once('.').ok_or_else(missing)?;
    let syntax = files.get(file).ok_or_else(missing)?;
    syntax
        .body
        .iter()
        .find_map(|s| match &s.kind {
            StatementKind::Testcase { name, extends: None, body } if name.name.as_ref() == wanted => Some(Script::new(syntax, body)),
            _ => None,
        })
        .ok_or_else(missing)
}

/// `option testing.tags = ["a", "b"]`, read without running anything.
fn tags(statements: &[Statement]) -> Vec<String> {
    let mut out = vec![];
    for statement in statements {
        let StatementKind::Option { package: Some(package), name, value } = &statement.kind else { continue };
        let ExprKind::Array(items) = &value.kind else { continue };
        if package.name.as_ref() == "testing" && name.name.as_ref() == "tags" {
            out.extend(items.iter().filter_map(|i| if let ExprKind::String(tag) = &i.kind { Some(tag.to_string()) } else { None }));
        }
    }
    out
}

/// Which testcases run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Names (`name` or `package.name`) that run, whatever else is said; empty: all.
    pub tests: Vec<String>,
    /// Names that do not run.
    pub skip: Vec<String>,
    /// A tagged testcase runs when all of its tags are here.
    pub tags: Vec<String>,
}

impl Selection {
    pub fn takes(&self, testcase: &Testcase) -> bool {
        let named = |names: &[String]| names.iter().any(|n| *n == testcase.name || *n == testcase.full_name());
        if !self.tests.is_empty() {
            return named(&self.tests);
        }
        !named(&self.skip) && testcase.tags.iter().all(|t| self.tags.contains(t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite() -> FluxResult<Vec<Testcase>> {
        let file = |path: &str, text: &str| TestFile { path: path.into(), text: text.into() };
        let child = r#"import "array" import "testing" own = 1 testcase child extends "flux/a/parent_test.parent" { x = 1 super() y = 2 }"#;
        let parent = r#"import "testing" import "csv" theirs = 2 testcase parent { option testing.tags = ["slow"] z = 3 }"#;
        testcases(&[file("b/child_test.flux", child), file("a/parent_test.flux", parent)], "flux")
    }

    #[test]
    fn a_child_has_both_preambles_and_the_parents_body_in_place_of_super() {
        let cases = suite().expect("two testcases");
        let child = &cases[0];
        let names: Vec<_> = child
            .script
            .body
            .iter()
            .filter_map(|s| if let StatementKind::Assign { name, .. } = &s.kind { Some(name.name.as_ref()) } else { None })
            .collect();
        assert_eq!(names, ["own", "theirs", "x", "z", "y"]);
        let imports: Vec<_> = child.script.imports.iter().map(|i| i.path.as_ref()).collect();
        assert_eq!(imports, ["array", "testing", "csv"]);
        assert_eq!((child.full_name().as_str(), child.tags.as_slice()), ("b.child", ["slow".to_string()].as_slice()));
    }

    #[test]
    fn a_tagged_testcase_runs_when_all_its_tags_are_asked_for_or_it_is_named() {
        let cases = suite().expect("two testcases");
        let takes = |selection: Selection| cases.iter().map(|c| selection.takes(c)).collect::<Vec<_>>();
        assert_eq!(takes(Selection::default()), [false, false]);
        assert_eq!(takes(Selection { tags: vec!["slow".into()], skip: vec!["a.parent".into()], ..Selection::default() }), [true, false]);
        assert_eq!(takes(Selection { tests: vec!["parent".into()], ..Selection::default() }), [false, true]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let bad = |text: &str| {
            let file = TestFile { path: "a/a_test.flux".into(), text: text.into() };
            testcases(&[file], "flux").expect_err("refused").message
        };
        assert!(bad("testcase a { x = 1 } testcase a { x = 2 }").contains("testcase a.a stands in"));
        assert!(bad("testcase a extends \"flux/b/b_test.b\" { super() }").contains("no testcase flux/b/b_test.b"));
        assert!(bad("testcase a {").contains("a/a_test.flux: error @1:13"));
    }
}
