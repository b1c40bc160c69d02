//! Tokens, passwords, sessions: from what a request shows to a [`Caller`].

use super::{
    Caller, Catalog, Credential,
    permission::{Action, Permission, Resource, ResourceKind},
    records::{Authorization, Membership, Role, Session, Status, User},
    state::State,
};
use crate::model::{ErrorKind, Failure, OrgId, Result, Timestamp, UserId};
use argon2::{
    Argon2, PasswordHash, PasswordVerifier,
    password_hash::{PasswordHasher, SaltString},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use sha2::{Digest, Sha256};

/// A session that is not used for this long ends (InfluxDB 2.7's default).
const SESSION_NS: i64 = 3_600 * 1_000_000_000;
/// A session in use is prolonged when less than this is left of its hour, so that not every request writes.
const SESSION_RENEW_NS: i64 = 55 * 60 * 1_000_000_000;
/// Verified passwords that are remembered.
const VERIFIED_MAX: usize = 1024;

fn unauthorized() -> Failure {
    Failure::new(ErrorKind::Unauthorized, "unauthorized access")
}

/// What is kept of a token or a session key.
pub(super) fn hash_of(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Catalog {
    /// `Unauthorized` when nobody is recognised, `Forbidden` when the user is switched off.
    ///
    /// Takes about 20 ms of one core when a password is seen for the first time, else microseconds.
    pub fn authenticate(&self, credential: &Credential) -> Result<Caller> {
        let state = self.state();
        match credential {
            Credential::Token(token) => match state.authorization_of(token) {
                Some(authorization) => caller_by_token(&state, authorization),
                None => {
                    let (username, password) = token.split_once(':').ok_or_else(unauthorized)?;
                    self.by_password(&state, username, password)
                }
            },
            Credential::Password { username, password } => match state.users.values().find(|u| u.name == *username) {
                Some(_) if state.authorization_of(password).is_none() => self.by_password(&state, username, password),
                _ => caller_by_token(&state, state.authorization_of(password).ok_or_else(unauthorized)?),
            },
            Credential::Session(key) => {
                let now = self.now();
                let session = state.sessions.get(&hash_of(key)).filter(|s| s.expires_at > now).ok_or_else(unauthorized)?;
                if session.expires_at - now < SESSION_RENEW_NS {
                    let renewed = Session { expires_at: now + SESSION_NS, ..session.clone() };
                    self.change(|draft| draft.put(renewed))?;
                }
                caller_by_user(&state, session.user_id)
            }
        }
    }

    fn by_password(&self, state: &State, username: &str, password: &str) -> Result<Caller> {
        let user = state.users.values().find(|u| u.name == username).ok_or_else(unauthorized)?;
        self.verify(user, password)?;
        caller_by_user(state, user.id)
    }

    /// Begins a session; its key goes into a cookie and is not kept. With it, when the session ends if it is not used.
    pub fn sign_in(&self, username: &str, password: &str) -> Result<(String, Timestamp)> {
        let state = self.state();
        let user = state.users.values().find(|u| u.name == username).ok_or_else(unauthorized)?;
        self.verify(user, password)?;
        caller_by_user(&state, user.id)?;
        let (key, now) = (self.random_text(), self.now());
        let session = Session { key_hash: hash_of(&key), user_id: user.id, expires_at: now + SESSION_NS };
        let expires_at = session.expires_at;
        self.change(|draft| {
            draft.remove_where::<Session>(|s| s.expires_at <= now);
            draft.put(session)
        })?;
        Ok((key, expires_at))
    }

    pub fn sign_out(&self, key: &str) -> Result<()> {
        self.change(|draft| {
            draft.remove::<Session>(&hash_of(key));
            Ok(())
        })
    }

    /// The old password is asked for where a user changes the own one.
    pub fn verify_password(&self, user: UserId, password: &str) -> Result<()> {
        let state = self.state();
        self.verify(state.users.get(&user).ok_or_else(unauthorized)?, password)
    }

    fn verify(&self, user: &User, password: &str) -> Result<()> {
        let stored = user.password.as_deref().ok_or_else(unauthorized)?;
        // A pass is remembered under a salt of this process, with the stored hash in it: a new password forgets the old.
        let seen: [u8; 32] =
            Sha256::new().chain_update(self.salt()).chain_update(stored).chain_update([0]).chain_update(password).finalize().into();
        if self.verified().contains(&seen) {
            return Ok(());
        }
        let stored = PasswordHash::new(stored).map_err(|e| Failure::internal(format!("a stored password cannot be read: {e}")))?;
        Argon2::default().verify_password(password.as_bytes(), &stored).map_err(|_| unauthorized())?;
        let mut verified = self.verified();
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(seen);
        Ok(())
    }

    /// 8 to 72 characters, as InfluxDB 2.7 has it.
    pub(super) fn hash_password(&self, password: &str) -> Result<String> {
        if !(8..=72).contains(&password.len()) {
            return Err(Failure::invalid("passwords must be between 8 and 72 characters long"));
        }
        let mut salt = [0; 16];
        self.randomness().fill(&mut salt);
        let internal = |e: argon2::password_hash::Error| Failure::internal(format!("the password cannot be hashed: {e}"));
        let salt = SaltString::encode_b64(&salt).map_err(internal)?;
        Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(internal)?.to_string())
    }

    /// 64 random bytes in URL-safe base64: the form of InfluxDB's tokens.
    pub(super) fn random_text(&self) -> String {
        let mut bytes = [0; 64];
        self.randomness().fill(&mut bytes);
        URL_SAFE.encode(bytes)
    }
}

fn caller_by_token(state: &State, authorization: &Authorization) -> Result<Caller> {
    check_active(state, authorization.user_id)?;
    let inactive = authorization.status == Status::Inactive;
    let permissions = if inactive { vec![] } else { authorization.permissions.clone() };
    let mut caller = Caller::new(Some(authorization.user_id), Some(authorization.id), Some(authorization.org_id), permissions);
    caller.inactive = inactive;
    Ok(caller)
}

/// A user may do what memberships say: an owner of an organisation everything in it, a member read it, an owner of the
/// server everything; and everybody the own record.
fn caller_by_user(state: &State, user: UserId) -> Result<Caller> {
    check_active(state, user)?;
    let own = Resource::global(ResourceKind::Users, Some(user.0));
    let mut permissions = vec![Permission::new(Action::Read, own), Permission::new(Action::Write, own)];
    let mut organisations = vec![];
    for Membership { kind, resource_id, role, .. } in state.memberships.values().filter(|m| m.user_id == user) {
        match (kind, role) {
            (ResourceKind::Instance, Role::Owner) => permissions.extend(Permission::operator()),
            (ResourceKind::Orgs, role) => {
                let org = OrgId(resource_id.0);
                organisations.push(org);
                permissions.extend(if *role == Role::Owner { Permission::all_of(org) } else { Permission::member_of(org) });
            }
            _ => {}
        }
    }
    let only = if let [one] = organisations[..] { Some(one) } else { None };
    Ok(Caller::new(Some(user), None, only, permissions))
}

fn check_active(state: &State, user: UserId) -> Result<()> {
    match state.users.get(&user).map(|u| u.status) {
        Some(Status::Active) => Ok(()),
        Some(Status::Inactive) => Err(Failure::new(ErrorKind::Forbidden, "User is inactive")),
        None => Err(unauthorized()),
    }
}
