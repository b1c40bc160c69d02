use super::*;
use crate::query::session::SessionSettings;

/// A tree with a module at `a`, another one inside of it, and a folder beside them that belongs to neither.
fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    put("a/fluxtest.root", r#"{"name": "flux", "tags": []}"#);
    put("a/base/parent_test.flux", "testcase parent { x = y }");
    put("a/x/child_test.flux", r#"y = 1 testcase child extends "flux/base/parent_test.parent" { super() }"#);
    put("a/x/orphan_test.flux", r#"testcase orphan extends "flux/base/none_test.none" { super() } testcase alone { x = 1 }"#);
    put("a/inner/fluxtest.root", r#"{"name": "inner"}"#);
    put("a/inner/x/child_test.flux", r#"y = 1 testcase child extends "flux/base/parent_test.parent" { super() }"#);
    put("x/child_test.flux", "testcase child { x = 1 }");
    put("b/out_test.flux", r#"testcase out extends "flux/../b/out_test.out" { super() }"#);
    folder
}

/// `name` or `name: failure` of every testcase below a folder.
fn outcomes(folder: &Path) -> Vec<String> {
    let testcases = Suite::read(folder).expect("a suite").testcases().expect("testcases");
    let sessions = Sessions::new(&SessionSettings::default(), vec![]).expect("a session");
    let options = RunOptions { threads: 2, time_limit: Duration::from_secs(60), now: 0, stored: false };
    let outcomes = run(&testcases, &sessions, options, |_, _| {});
    let show = |(testcase, outcome): (&Testcase, Outcome)| match outcome.failure {
        None => testcase.full_name(),
        Some(why) => format!("{}: {why}", testcase.full_name()),
    };
    testcases.iter().zip(outcomes).map(show).collect()
}

#[test]
fn a_module_is_found_from_above_from_its_root_and_from_inside() {
    let tree = tree();
    let inside = ["x.child", "x.alone", "x.orphan: there is no testcase flux/base/none_test.none to extend"];
    let sorted = |folder: &str| {
        let mut found = outcomes(&tree.path().join(folder));
        found.sort();
        found
    };
    let with = |more: &[&str]| {
        let mut all: Vec<String> = inside.iter().chain(more).map(|name| name.to_string()).collect();
        all.sort();
        all
    };
    assert_eq!(sorted("a/x"), with(&[]));
    // Alone, a parent does not know its children's `y`.
    let parent = "base.parent: error @1:23-1:24: undefined identifier y";
    assert_eq!(sorted("a"), with(&[parent, "x.child"]));
    let out = "b.out: there is no testcase flux/../b/out_test.out to extend";
    assert_eq!(sorted(""), with(&[parent, "x.child", "x.child", out]));
    // A root above a folder is not looked for below the one that is nearer.
    assert_eq!(sorted("a/inner"), ["x.child: there is no testcase flux/base/parent_test.parent to extend"]);
}

#[test]
fn roots_that_say_nothing_or_the_same_are_refused() {
    let tree = tree();
    fs::write(tree.path().join("a/inner/fluxtest.root"), r#"{"name": "flux"}"#).expect("a file");
    let twice = Suite::read(tree.path()).expect_err("refused");
    assert!(twice.message.ends_with("are both roots of a module `flux`"), "{twice}");
    fs::write(tree.path().join("a/fluxtest.root"), "flux").expect("a file");
    let nameless = Suite::read(tree.path()).expect_err("refused");
    assert!(nameless.message.contains("fluxtest.root names no module"), "{nameless}");
    let empty = tempfile::tempdir().expect("a folder");
    assert!(Suite::read(empty.path()).expect_err("refused").message.contains("there are no *_test.flux files below"));
}
