//! The names of packages and their members, and the nearest one to a name that does not exist.

use super::Known;
use crate::flux::{
    ast::{ExprKind, StatementKind},
    stdlib::{self, Package},
};
use datafusion::common::utils::datafusion_strsim::levenshtein;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

pub type Members = HashMap<Arc<str>, Known>;

/// The members of a package: built-ins, constants, and what its prelude defines. Made once per process.
pub fn members(package: &'static Package) -> Arc<Members> {
    static MADE: LazyLock<Mutex<HashMap<&'static str, Arc<Members>>>> = LazyLock::new(Mutex::default);
    if let Some(members) = MADE.lock().get(package.path) {
        return members.clone();
    }
    let mut members = Members::new();
    for function in (package.functions)() {
        members.insert(function.name.into(), Known::Builtin(function));
    }
    for (name, _) in (package.values)() {
        members.insert(name.into(), Known::Nothing);
    }
    // A prelude that does not parse is reported when it is loaded.
    for statement in stdlib::parsed_prelude(package).iter().flat_map(|file| &file.body) {
        match &statement.kind {
            StatementKind::Assign { name, value } => {
                let known = match &value.kind {
                    ExprKind::Function(literal) => Known::Closure(literal.clone()),
                    _ => Known::Nothing,
                };
                members.insert(name.name.clone(), known);
            }
            // A script may put something else in its place.
            StatementKind::Option { name, .. } => {
                members.insert(name.name.clone(), Known::Nothing);
            }
            _ => {}
        }
    }
    let members = Arc::new(members);
    MADE.lock().insert(package.path, members.clone());
    members
}

/// `; did you mean x?`, or nothing when no name is near.
pub fn hint<'n>(name: &str, candidates: impl IntoIterator<Item = &'n str>) -> String {
    let far = 1 + name.chars().count() / 4;
    let near = candidates.into_iter().filter(|c| !c.starts_with('_')).map(|c| {
        // Only a difference in case is the nearest of all.
        let distance = if c.eq_ignore_ascii_case(name) { 0 } else { levenshtein(name, c) };
        (distance, c)
    });
    match near.min() {
        Some((distance, nearest)) if distance <= far && nearest != name && name.len() > 1 => format!("; did you mean {nearest}?"),
        _ => String::new(),
    }
}
