use super::*;
use super::{authorizations::NewAuthorization, buckets::NewBucket, dbrps::NewDbrp, records::Role};
use crate::{
    clock::ManualClock,
    model::{OrgId, ResourceId},
};

const HOUR_NS: i64 = 3_600_000_000_000;

struct Fixture {
    catalog: Catalog,
    clock: Arc<ManualClock>,
    set_up: SetupAnswer,
    operator: Caller,
}

fn request() -> SetupRequest {
    SetupRequest {
        username: "ana".into(),
        password: Some("correct horse".into()),
        org: "lab".into(),
        bucket: "gpu".into(),
        ..Default::default()
    }
}

fn fixture() -> Fixture {
    let clock = ManualClock::at(1_000);
    let catalog = Catalog::in_memory(clock.clone(), Randomness::seeded(7)).expect("a catalog");
    let set_up = catalog.set_up(request()).expect("the first set-up");
    let operator = catalog.authenticate(&Credential::Token(set_up.token.clone())).expect("the operator's token");
    Fixture { catalog, clock, set_up, operator }
}

impl Fixture {
    fn org(&self) -> OrgId {
        self.set_up.org.id
    }

    fn bucket(&self, name: &str) -> Result<Bucket> {
        self.catalog.create_bucket(&self.operator, self.org(), NewBucket { name: name.into(), ..Default::default() })
    }

    fn token_for(&self, permissions: Vec<Permission>) -> (Authorization, Caller) {
        let new = NewAuthorization { permissions, ..Default::default() };
        let (made, token) = self.catalog.create_authorization(&self.operator, self.org(), new).expect("a token");
        (made, self.catalog.authenticate(&Credential::Token(token)).expect("recognised"))
    }
}

fn password(username: &str, password: &str) -> Credential {
    Credential::Password { username: username.into(), password: password.into() }
}

#[test]
fn set_up_works_once_and_refuses_what_influxdb_refuses() {
    let catalog = Catalog::in_memory(ManualClock::at(0), Randomness::seeded(1)).expect("a catalog");
    let wrong = [
        (SetupRequest { username: " ".into(), ..request() }, ErrorKind::EmptyValue, "username is empty"),
        (SetupRequest { org: "".into(), ..request() }, ErrorKind::EmptyValue, "org name is empty"),
        (
            SetupRequest { password: Some("short".into()), ..request() },
            ErrorKind::Invalid,
            "passwords must be between 8 and 72 characters long",
        ),
        (
            SetupRequest { bucket: "_mine".into(), ..request() },
            ErrorKind::Invalid,
            "bucket name _mine is invalid. Buckets may not start with underscore",
        ),
        (
            SetupRequest { retention_ns: Some(HOUR_NS - 1), ..request() },
            ErrorKind::Unprocessable,
            "retention policy duration must be at least 1h0m0s",
        ),
    ];
    for (request, kind, message) in wrong {
        let failure = catalog.set_up(request).expect_err(message);
        assert_eq!((failure.kind, failure.message.as_str()), (kind, message));
        assert!(!catalog.is_set_up(), "nothing is kept of a request that fails");
    }
    let answer = catalog.set_up(SetupRequest { token: Some("my-token".into()), ..request() }).expect("the first");
    assert_eq!(answer.token, "my-token");
    let buckets = catalog.buckets(&Caller::system(), Some(answer.org.id));
    assert_eq!(buckets.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["_monitoring", "_tasks", "gpu"]);
    let again = catalog.set_up(request()).expect_err("the second");
    assert_eq!((again.kind, again.message.as_str()), (ErrorKind::Conflict, "onboarding has already been completed"));
}

#[test]
fn who_is_recognised() {
    let f = fixture();
    let cases = [
        (Credential::Token(f.set_up.token.clone()), true),
        (Credential::Token("wrong".into()), false),
        (Credential::Token(String::new()), false),
        (Credential::Token("ana:correct horse".into()), true),
        (Credential::Token("ana:wrong horse".into()), false),
        (password("ana", "correct horse"), true),
        (password("ana", "correct horse"), true),
        (password("ana", "wrong"), false),
        (password("ana", ""), false),
        (password("anybody", &f.set_up.token), true),
        (password("bob", "correct horse"), false),
        (Credential::Session("never given".into()), false),
    ];
    for (credential, known) in cases {
        match f.catalog.authenticate(&credential) {
            Ok(_) => assert!(known, "{credential:?}"),
            Err(failure) => {
                assert!(!known, "{credential:?}");
                assert_eq!((failure.kind, failure.message.as_str()), (ErrorKind::Unauthorized, "unauthorized access"));
            }
        }
    }
}

#[test]
fn sessions_live_an_hour_after_their_last_use() {
    let f = fixture();
    f.catalog.sign_in("ana", "wrong password").expect_err("a wrong password");
    let (key, expires_at) = f.catalog.sign_in("ana", "correct horse").expect("signed in");
    assert_eq!(expires_at, 1_000 + HOUR_NS);
    let session = Credential::Session(key.clone());
    f.clock.set(1_000 + HOUR_NS - 1);
    let caller = f.catalog.authenticate(&session).expect("not yet over");
    caller.check(Action::Write, Resource::of_org(ResourceKind::Buckets, f.org())).expect("an owner");
    f.clock.set(1_000 + 2 * HOUR_NS - 2);
    f.catalog.authenticate(&session).expect("prolonged by its use");
    f.clock.set(1_000 + 4 * HOUR_NS);
    f.catalog.authenticate(&session).expect_err("over");
    let (key, _) = f.catalog.sign_in("ana", "correct horse").expect("signed in");
    f.catalog.sign_out(&key).expect("signed out");
    f.catalog.authenticate(&Credential::Session(key)).expect_err("signed out");
}

#[test]
fn a_new_password_ends_the_old_one_and_its_sessions() {
    let f = fixture();
    let (key, _) = f.catalog.sign_in("ana", "correct horse").expect("signed in");
    f.catalog.set_password(&f.operator, f.set_up.user.id, "another horse").expect("changed");
    f.catalog.authenticate(&password("ana", "correct horse")).expect_err("the old one, which had been verified before");
    f.catalog.authenticate(&password("ana", "another horse")).expect("the new one");
    f.catalog.authenticate(&Credential::Session(key)).expect_err("ended");
}

#[test]
fn a_token_does_what_it_says_and_no_more() {
    let f = fixture();
    let (one, two) = (f.bucket("one").expect("made"), f.bucket("two").expect("made"));
    let on = |b: &Bucket| Resource::one(ResourceKind::Buckets, b.id.0, f.org());
    let (made, caller) = f.token_for(vec![Permission::new(Action::Read, on(&one))]);
    assert_eq!(f.catalog.buckets(&caller, None).iter().map(|b| b.name.clone()).collect::<Vec<_>>(), ["one"]);
    assert_eq!(f.catalog.bucket(&caller, two.id).expect_err("another's").kind, ErrorKind::Unauthorized);
    let more = NewAuthorization { permissions: vec![Permission::new(Action::Write, on(&one))], ..Default::default() };
    f.catalog.create_authorization(&caller, f.org(), more).expect_err("it may not make tokens");
    let failure = f.catalog.delete_bucket(&caller, one.id).expect_err("it may only read");
    assert_eq!(failure.message, format!("write:orgs/{}/buckets/{} is unauthorized", f.org(), one.id));
    f.catalog.update_authorization(&f.operator, made.id, Some(Status::Inactive), None).expect("switched off");
    let (maker, _) = f.token_for(vec![
        Permission::new(Action::Write, Resource::of_org(ResourceKind::Authorizations, f.org())),
        Permission::new(Action::Read, on(&one)),
    ]);
    assert!(f.catalog.authorization(&f.operator, maker.id).is_ok());
}

#[test]
fn a_maker_of_tokens_cannot_give_more_than_it_has() {
    let f = fixture();
    let of = |kind| Resource::of_org(kind, f.org());
    let (_, maker) = f.token_for(vec![
        Permission::new(Action::Write, of(ResourceKind::Authorizations)),
        Permission::new(Action::Read, of(ResourceKind::Buckets)),
    ]);
    let new = |action, resource| NewAuthorization { permissions: vec![Permission::new(action, resource)], ..Default::default() };
    f.catalog.create_authorization(&maker, f.org(), new(Action::Read, of(ResourceKind::Buckets))).expect("as much as it has");
    for beyond in [new(Action::Write, of(ResourceKind::Buckets)), new(Action::Read, Resource::global(ResourceKind::Buckets, None))] {
        assert_eq!(f.catalog.create_authorization(&maker, f.org(), beyond).expect_err("more").kind, ErrorKind::Forbidden);
    }
}

#[test]
fn inactive_tokens_and_users() {
    let f = fixture();
    let new = NewAuthorization { permissions: Permission::all_of(f.org()), ..Default::default() };
    let (made, token) = f.catalog.create_authorization(&f.operator, f.org(), new).expect("a token");
    f.catalog.update_authorization(&f.operator, made.id, Some(Status::Inactive), None).expect("switched off");
    let caller = f.catalog.authenticate(&Credential::Token(token)).expect("recognised still");
    let failure = caller.check(Action::Read, Resource::of_org(ResourceKind::Buckets, f.org())).expect_err("may do nothing");
    assert_eq!((failure.kind, failure.message.as_str()), (ErrorKind::Unauthorized, "token is inactive"));
    f.catalog.update_user(&Caller::system(), f.set_up.user.id, None, Some(Status::Inactive)).expect("switched off");
    let failure = f.catalog.authenticate(&Credential::Token(f.set_up.token.clone())).expect_err("its user is off");
    assert_eq!((failure.kind, failure.message.as_str()), (ErrorKind::Forbidden, "User is inactive"));
}

#[test]
fn organisations_do_not_see_each_other() {
    let f = fixture();
    let other = f.catalog.create_organization(&f.operator, "other", "").expect("made");
    let (_, all_of_lab) = f.token_for(Permission::all_of(f.org()));
    assert_eq!(f.catalog.organizations(&all_of_lab).iter().map(|o| o.name.clone()).collect::<Vec<_>>(), ["lab"]);
    assert!(f.catalog.buckets(&all_of_lab, Some(other.id)).is_empty());
    assert_eq!(f.catalog.organization_of(&all_of_lab, Some("lab")).expect("its own"), f.org());
    assert_eq!(f.catalog.organization_of(&all_of_lab, None).expect("its own"), f.org());
    assert_eq!(f.catalog.organization_of(&all_of_lab, Some("default")).expect("its own"), f.org());
    let failure = f.catalog.organization_of(&all_of_lab, Some("other")).expect_err("another's");
    assert_eq!(failure.message, "organization name \"other\" not found");
    // A member of one organisation reads it and writes nothing.
    let user = f.catalog.create_user(&f.operator, "bob", Status::Active).expect("made");
    f.catalog.set_password(&f.operator, user.id, "bob's password").expect("set");
    f.catalog.add_member(&f.operator, ResourceKind::Orgs, ResourceId(other.id.0), Role::Member, user.id).expect("added");
    let bob = f.catalog.authenticate(&password("bob", "bob's password")).expect("recognised");
    assert_eq!(f.catalog.organization_of(&bob, None).expect("the only one"), other.id);
    assert_eq!(f.catalog.buckets(&bob, None).len(), 2, "the system buckets of `other`");
    f.catalog.create_bucket(&bob, other.id, NewBucket { name: "b".into(), ..Default::default() }).expect_err("a member reads");
    f.catalog.delete_organization(&f.operator, other.id).expect("deleted");
    assert!(f.catalog.buckets(&Caller::system(), Some(other.id)).is_empty());
    assert_eq!(f.catalog.authenticate(&password("bob", "bob's password")).expect("still a user").org_id, None);
}

#[test]
fn buckets_and_their_rules() {
    let f = fixture();
    assert_eq!(f.bucket("gpu").expect_err("there is one").message, "bucket with name gpu already exists");
    let quoted = f.bucket("a\"b").expect_err("a quote");
    assert_eq!(quoted.message, "bucket name a\"b is invalid. Bucket names may not include quotation marks");
    let system = f.catalog.buckets(&f.operator, None).into_iter().find(|b| b.name == "_tasks").expect("made by set-up");
    assert_eq!(f.catalog.delete_bucket(&f.operator, system.id).expect_err("ours").message, "system buckets cannot be deleted");
    let changes = buckets::BucketChanges { retention_ns: Some(Some(30 * 24 * HOUR_NS)), ..Default::default() };
    let changed = f.catalog.update_bucket(&f.operator, f.set_up.bucket.id, changes).expect("changed");
    assert_eq!((changed.retention_ns, changed.shard_group_ns), (Some(30 * 24 * HOUR_NS), 24 * HOUR_NS));
    assert_eq!(f.set_up.bucket.shard_group_ns, 7 * 24 * HOUR_NS);
}

#[test]
fn databases_and_their_policies() {
    let f = fixture();
    let show = |catalog: &Catalog| {
        let line = |d: Dbrp| {
            format!("{}.{}{}{}", d.database, d.policy, if d.default { " default" } else { "" }, if d.is_virtual { " virtual" } else { "" })
        };
        catalog.dbrps(&Caller::system(), f.org()).into_iter().map(line).filter(|l| !l.starts_with('_')).collect::<Vec<_>>()
    };
    assert_eq!(show(&f.catalog), ["gpu.autogen default virtual"]);
    let slash = f.bucket("gpu/week").expect("made");
    assert_eq!(show(&f.catalog), ["gpu.autogen default virtual", "gpu.week virtual"]);
    let new = NewDbrp { bucket_id: slash.id, database: "gpu".into(), policy: "weekly".into(), default: false };
    let first = f.catalog.create_dbrp(&f.operator, f.org(), new.clone()).expect("made");
    assert!(first.default, "the first stored mapping is the default");
    assert_eq!(show(&f.catalog), ["gpu.autogen virtual", "gpu.week virtual", "gpu.weekly default"]);
    f.catalog.create_dbrp(&f.operator, f.org(), new).expect_err("there is one");
    let state = f.catalog.state();
    assert_eq!(state.bucket_of(f.org(), "gpu", None).expect("the default").id, slash.id);
    assert_eq!(state.bucket_of(f.org(), "gpu", Some("autogen")).expect("by name").id, f.set_up.bucket.id);
    assert_eq!(state.bucket_of(f.org(), "gpu", Some("day")).expect_err("none").message, "retention policy not found: day");
    assert_eq!(state.bucket_of(f.org(), "cpu", None).expect_err("none").message, "database not found: cpu");
    f.catalog.delete_dbrp(&f.operator, f.org(), first.id).expect("deleted");
    assert_eq!(show(&f.catalog), ["gpu.autogen default virtual", "gpu.week virtual"]);

    let made = f.catalog.create_database(&f.operator, f.org(), "telegraf", None, None).expect("made");
    assert_eq!(f.catalog.create_database(&f.operator, f.org(), "telegraf", None, None).expect("there already").id, made.id);
    f.catalog.create_database(&f.operator, f.org(), "metrics", Some("month"), Some(30 * 24 * HOUR_NS)).expect("made");
    assert_eq!(show(&f.catalog)[2..], ["metrics.month default", "telegraf.autogen default virtual"]);
    assert_eq!(f.catalog.drop_database(&f.operator, f.org(), "metrics").expect("dropped").len(), 1);
    assert_eq!(show(&f.catalog)[2..], ["telegraf.autogen default virtual"]);
}

#[test]
fn everything_is_there_again_after_a_restart_and_no_secret_text_is_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.sqlite");
    let open = || Catalog::open(&path, ManualClock::at(5), Randomness::seeded(9)).expect("a catalog");
    let set_up = {
        let catalog = open();
        let set_up = catalog.set_up(SetupRequest { token: Some("a-very-secret-token".into()), ..request() }).expect("set up");
        catalog.create_label(&Caller::system(), set_up.org.id, "prod", Default::default()).expect("a label");
        set_up
    };
    let catalog = open();
    let operator = catalog.authenticate(&Credential::Token("a-very-secret-token".into())).expect("the token");
    catalog.authenticate(&password("ana", "correct horse")).expect("the password");
    assert_eq!(catalog.bucket(&operator, set_up.bucket.id).expect("the bucket"), set_up.bucket);
    assert_eq!(catalog.labels(&operator, None).len(), 1);
    for entry in std::fs::read_dir(folder.path()).expect("a folder") {
        let bytes = std::fs::read(entry.expect("a file").path()).expect("readable");
        for secret in ["a-very-secret-token", "correct horse"] {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{secret} stands on disk");
        }
    }
}

/// Ways to hurt a file; `None`: it is gone.
type Hurt = fn(Vec<u8>) -> Option<Vec<u8>>;

#[test]
fn a_damaged_catalog_is_replaced_by_its_copy_and_a_damaged_copy_by_the_catalog() {
    fn flip(mut bytes: Vec<u8>, needle: &[u8]) -> Option<Vec<u8>> {
        let at: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(needle)).collect();
        at.into_iter().for_each(|at| bytes[at] ^= 1);
        Some(bytes)
    }
    let hurts: [(&str, Hurt); 8] = [
        ("deleted", |_| None),
        ("emptied", |_| Some(vec![])),
        ("torn", |b| Some(b[..b.len() / 2].to_vec())),
        ("filled with zeros", |b| Some(vec![0; b.len()])),
        ("no database", |b| Some([&b"x"[..], &b[1..]].concat())),
        ("of another record", |b| flip(b, b"gpu")),
        ("of a newer format", |mut b| {
            b[60] ^= 1;
            Some(b)
        }),
        ("not to be written", |mut b| {
            b[18] = 7;
            Some(b)
        }),
    ];
    for (case, hurt) in hurts {
        for victim in ["catalog.sqlite", "catalog.copy.sqlite"] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("catalog.sqlite");
            let open = || Catalog::open(&path, ManualClock::at(5), Randomness::from_os()).expect("a catalog");
            let catalog = open();
            let set_up = catalog.set_up(request()).expect("set up");
            let label = |catalog: &Catalog, name: &str| {
                catalog.create_label(&Caller::system(), set_up.org.id, name, Default::default()).expect("a label");
            };
            label(&catalog, "first");
            drop(catalog);
            let file = folder.path().join(victim);
            match hurt(std::fs::read(&file).expect("a file")) {
                Some(bytes) => std::fs::write(&file, bytes).expect("written"),
                None => std::fs::remove_file(&file).expect("removed"),
            }
            for opening in 1..=3 {
                let catalog = open();
                let buckets = catalog.state();
                assert!(buckets.bucket(set_up.org.id, "gpu").is_some(), "{case}, {victim}, opening {opening}");
                assert_eq!(catalog.labels(&Caller::system(), None).len(), opening, "{case}, {victim}");
                let told: Vec<&str> = catalog.damage().iter().map(|d| d.0.as_str()).collect();
                // A copy that is gone is made again without a word: an earlier program made none. Nothing writes to a copy.
                let silent = victim == "catalog.copy.sqlite" && matches!(case, "deleted" | "not to be written");
                let expected: &[&str] = if opening == 1 && !silent { &[victim] } else { &[] };
                assert_eq!(told, expected, "{case}, {victim}, opening {opening}: {:?}", catalog.damage());
                let kept = std::fs::read_dir(folder.path().join("quarantine")).map_or(0, Iterator::count);
                assert_eq!(kept > 0, !silent && case != "deleted", "{case}, {victim}: its bytes are kept");
                label(&catalog, &format!("more {opening}"));
            }
        }
    }
}

#[test]
fn changes_that_the_database_lost_are_in_its_copy_and_two_damaged_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.sqlite");
    let open = || Catalog::open(&path, ManualClock::at(5), Randomness::from_os());
    let catalog = open().expect("a catalog");
    let set_up = catalog.set_up(request()).expect("set up");
    drop(catalog);
    let before = std::fs::read(&path).expect("a file");
    let catalog = open().expect("a catalog");
    catalog.create_label(&Caller::system(), set_up.org.id, "prod", Default::default()).expect("a label");
    drop(catalog);
    std::fs::write(&path, before).expect("written");
    let catalog = open().expect("a catalog");
    assert_eq!((catalog.labels(&Caller::system(), None).len(), catalog.damage().len()), (1, 1));
    assert_eq!(catalog.check(), None);
    drop(catalog);
    std::fs::write(&path, "damaged").expect("written");
    std::fs::write(database::copy_of(&path), "damaged").expect("written");
    let refused = open().err().expect("refused");
    assert!(refused.message.contains("restore it from a backup"), "{refused}");
}
