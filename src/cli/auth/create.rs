//! `auth create`.

use super::{
    super::{
        connection::{ConnectionArguments, OrgArguments, given},
        output::OutputArguments,
    },
    json_of, table,
};
use crate::{
    catalog::{Action, ResourceKind},
    model::{Failure, Result},
};
use serde_json::{Value, json};
use std::sync::LazyLock;

#[derive(clap::Args)]
pub struct CreateArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    org: OrgArguments,
    /// Name of the user whose token it is [default: the user who asks]
    #[arg(long, short)]
    user: Option<String>,
    /// What the token is for
    #[arg(long, short)]
    description: Option<String>,
    /// ID of a bucket to read; may be repeated
    #[arg(long, value_name = "ID")]
    read_bucket: Vec<String>,
    /// ID of a bucket to write; may be repeated
    #[arg(long, value_name = "ID")]
    write_bucket: Vec<String>,
    /// Everything in every organisation
    #[arg(long)]
    operator: bool,
    /// Everything in one organisation
    #[arg(long)]
    all_access: bool,
    #[command(flatten)]
    kinds: KindFlags,
}

/// `--read-KIND` and `--write-KIND` for every kind of resource.
struct KindFlags(Vec<(Action, ResourceKind)>);

/// Every kind that a token may be for; `instance` is given at setup only (InfluxDB 2.7).
fn kinds() -> impl Iterator<Item = (Action, ResourceKind, &'static str)> {
    static KINDS: LazyLock<Vec<(Action, ResourceKind, String)>> = LazyLock::new(|| {
        let kinds = ResourceKind::ALL.iter().copied().filter(|k| *k != ResourceKind::Instance);
        let both = |kind: ResourceKind| [Action::Read, Action::Write].map(|action| (action, kind, format!("{action}-{}", kind.name())));
        kinds.flat_map(both).collect()
    });
    KINDS.iter().map(|(action, kind, name)| (*action, *kind, name.as_str()))
}

impl clap::Args for KindFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        kinds().fold(command, |command, (action, kind, name)| {
            let what = if action == Action::Read { "read" } else { "create, change and delete" };
            let help = format!("May {what} {}", kind.name());
            command.arg(clap::Arg::new(name).long(name).action(clap::ArgAction::SetTrue).help(help).hide_short_help(true))
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for KindFlags {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<KindFlags, clap::Error> {
        Ok(KindFlags(kinds().filter(|(_, _, name)| matches.get_flag(name)).map(|(action, kind, _)| (action, kind)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl CreateArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let org = connection.required_org_id(&self.org)?;
        let permissions = self.permissions(&org)?;
        let mut body = json!({ "orgID": org, "permissions": permissions });
        if let Some(name) = given(&self.user) {
            body["userID"] = connection.user_id(name)?.into();
        }
        if let Some(description) = given(&self.description) {
            body["description"] = description.into();
        }
        let made = connection.server.post("/api/v2/authorizations", &[], &body);
        let made = made.map_err(|f| f.context("could not write auth with provided arguments"))?;
        self.output.print(&table([&made]), &json_of(&made))
    }

    fn permissions(&self, org: &str) -> Result<Vec<Value>> {
        let mut all = vec![];
        for (action, ids) in [("read", &self.read_bucket), ("write", &self.write_bucket)] {
            for id in ids {
                if id.len() != 16 || !id.chars().all(|c| c.is_ascii_hexdigit()) {
                    let hint = "did you pass a bucket name instead of an ID? `bucket list` shows the IDs";
                    return Err(Failure::invalid(format!("invalid bucket ID '{id}' ({hint})")));
                }
                all.push(json!({ "action": action, "resource": { "type": "buckets", "id": id, "orgID": org } }));
            }
        }
        let global = |kind: ResourceKind| matches!(kind, ResourceKind::Orgs | ResourceKind::Users);
        let of_org = |kind: ResourceKind| match global(kind) {
            true => json!({ "type": kind.name() }),
            false => json!({ "type": kind.name(), "orgID": org }),
        };
        all.extend(self.kinds.0.iter().map(|(action, kind)| json!({ "action": action.to_string(), "resource": of_org(*kind) })));
        let alone = |what: &str| match all.is_empty() {
            true => Ok(()),
            false => Err(Failure::invalid(format!("cannot compose other permissions with {what} permissions"))),
        };
        if self.operator && self.all_access {
            return Err(Failure::invalid("--operator and --all-access exclude each other"));
        }
        if self.operator {
            alone("operator")?;
            all = kinds().map(|(action, kind, _)| json!({ "action": action.to_string(), "resource": { "type": kind.name() } })).collect();
        } else if self.all_access {
            alone("all access")?;
            // All that can be of an organisation, and the organisation itself to read. Users are of no organisation.
            let own = kinds().filter(|(_, kind, _)| !global(*kind));
            all = own.map(|(action, kind, _)| json!({ "action": action.to_string(), "resource": of_org(kind) })).collect();
            all.push(json!({ "action": "read", "resource": { "type": "orgs", "id": org } }));
        }
        if all.is_empty() {
            let ways = "--read-bucket, --write-bucket, --read-buckets, --all-access, ...";
            return Err(Failure::invalid(format!("a token must be for something: give {ways}")));
        }
        Ok(all)
    }
}
