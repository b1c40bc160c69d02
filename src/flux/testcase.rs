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
    /// Why there is none: the testcase that it extends is missing or unfit.
    pub script: FluxResult<File>,
}

impl Testcase {
    /// Whether its file takes rows through `testing.load`, so that it can be run on stored ones.
    pub fn loads(&self) -> bool {
        self.text.contains("testing.load")
    }

    /// The same testcase with `testing.load` being `tables => load`, where `_internal` is package `internal/testing`.
    pub fn loading(&self, load: &str) -> FluxResult<Testcase> {
        // The file may import the packages under any name; these are ours.
        let imports = "import _testing \"testing\"\nimport _internal \"internal/testing\"";
        let option = parse_file(&format!("{imports}\noption _testing.load = (tables=<-) => {load}"))?;
        let mut out = self.clone();
        if let Ok(script) = &mut out.script {
            script.imports.extend(option.imports);
            script.body.splice(0..0, option.body);
        }
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
    /// `None`: it lies outside of every module.
    pub module: Option<Arc<str>>,
    /// Relative to the module's root, or to the suite's, with `/`: `universe/max_test.flux`.
    pub path: String,
    pub text: Arc<str>,
}

/// The testcases of `files`, in their order. `text_of` gives the file that the first half of `extends "module/folder/file.name"`
/// says, whether it is among `files` or not.
///
/// Fails when a file does not parse, and when a name is given twice in a package. A testcase that extends what is not there
/// fails by itself.
pub fn testcases(files: &[TestFile], text_of: impl Fn(&str) -> Option<Arc<str>>) -> FluxResult<Vec<Testcase>> {
    let mut out: Vec<Testcase> = vec![];
    let mut seen: HashMap<(Option<&str>, String), &str> = HashMap::new();
    for file in files {
        let named = |e: FluxError| FluxError { message: format!("{}: {}", file.path, e.message), ..e };
        let syntax = parse_file(&file.text).map_err(named)?;
        let package = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for statement in &syntax.body {
            let StatementKind::Testcase { name, extends, body } = &statement.kind else { continue };
            let own = Script::new(&syntax, body);
            let own_tags = || tags(&own.body);
            let script = match extends {
                None => Ok(own.clone().file()),
                Some(parent) => find(&text_of, parent).and_then(|parent| Ok(own.clone().extending(&parent)?.file())),
            };
            let testcase = Testcase {
                package: package.to_string(),
                name: name.name.to_string(),
                tags: script.as_ref().map_or_else(|_| own_tags(), |script| tags(&script.body)),
                text: file.text.clone(),
                script,
            };
            if let Some(other) = seen.insert((file.module.as_deref(), testcase.full_name()), &file.path) {
                let text = format!("testcase {} stands in {other} and in {}", testcase.full_name(), file.path);
                return Err(FluxError::invalid(text));
            }
            out.push(testcase);
        }
    }
    Ok(out)
}

/// A testcase in the making.
#[derive(Clone)]
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
fn find(text_of: impl Fn(&str) -> Option<Arc<str>>, path: &str) -> FluxResult<Script> {
    let missing = || FluxError::invalid(format!("there is no testcase {path} to extend"));
    let (file, wanted) = path.rsplit_once('.').ok_or_else(missing)?;
    let text = text_of(file).ok_or_else(missing)?;
    let syntax = parse_file(&text).map_err(|e| FluxError { message: format!("{file}: {}", e.message), ..e })?;
    let own = syntax.body.iter().find_map(|s| match &s.kind {
        StatementKind::Testcase { name, extends: None, body } if name.name.as_ref() == wanted => Some(Script::new(&syntax, body)),
        _ => None,
    });
    own.ok_or_else(missing)
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

    fn file(path: &str, text: &str) -> TestFile {
        TestFile { module: None, path: path.into(), text: text.into() }
    }

    fn of(files: &[TestFile]) -> FluxResult<Vec<Testcase>> {
        let text_of = |path: &str| files.iter().find(|f| format!("flux/{}", f.path) == format!("{path}.flux"));
        testcases(files, |path| text_of(path).map(|f| f.text.clone()))
    }

    fn suite() -> FluxResult<Vec<Testcase>> {
        let child = r#"import "array" import "testing" own = 1 testcase child extends "flux/a/parent_test.parent" { x = 1 super() y = 2 }"#;
        let parent = r#"import "testing" import "csv" theirs = 2 testcase parent { option testing.tags = ["slow"] z = 3 }"#;
        of(&[file("b/child_test.flux", child), file("a/parent_test.flux", parent)])
    }

    #[test]
    fn a_child_has_both_preambles_and_the_parents_body_in_place_of_super() {
        let cases = suite().expect("two testcases");
        let child = &cases[0];
        let script = child.script.as_ref().expect("its parent is there");
        let names: Vec<_> = script
            .body
            .iter()
            .filter_map(|s| if let StatementKind::Assign { name, .. } = &s.kind { Some(name.name.as_ref()) } else { None })
            .collect();
        assert_eq!(names, ["own", "theirs", "x", "z", "y"]);
        let imports: Vec<_> = script.imports.iter().map(|i| i.path.as_ref()).collect();
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
        let bad = |text: &str| of(&[file("a/a_test.flux", text)]).expect_err("refused").message;
        assert!(bad("testcase a { x = 1 } testcase a { x = 2 }").contains("testcase a.a stands in"));
        assert!(bad("testcase a {").contains("a/a_test.flux: error @1:13"));
    }

    #[test]
    fn a_testcase_without_its_parent_fails_alone() {
        let why = |text: &str| {
            let cases = of(&[file("a/a_test.flux", text)]).expect("testcases");
            cases.into_iter().map(|c| c.script.err().map(|e| e.message).unwrap_or_default()).collect::<Vec<_>>()
        };
        let orphan = r#"testcase a extends "flux/b/b_test.b" { super() } testcase c { x = 1 }"#;
        assert_eq!(why(orphan), ["there is no testcase flux/b/b_test.b to extend", ""]);
        let without_super = r#"testcase a { x = 1 } testcase b extends "flux/a/a_test.a" { y = 1 }"#;
        assert_eq!(why(without_super), ["", "a testcase that extends another one calls `super()`"]);
    }
}
