//! Requests of the control socket, each with the message to the service that answers it.
//!
//! Invariant: a connection's thread may wait here, and never for ever: a service that doesn't answer is said so.

use std::time::Duration;

use super::message::{Body, Reply, Request, Session, VERSION, Version, VersionAlone, Which};
use super::shards::Shards;
use crate::directory::{Change, Handle, Listed, Refusal};
use crate::hop::{self, blocking_call};
use crate::limits::CONTROL_SECONDS_MAX;
use crate::shard;
use crate::store::AccountId;

/// The reply to one line.
pub fn answer(line: &[u8], directory: &Handle, shards: &Shards) -> Reply {
    match serde_json::from_slice::<VersionAlone>(line) {
        Ok(VersionAlone { version: VERSION }) => {}
        Ok(VersionAlone { version }) => {
            return Reply::Error(format!(
                "version {version} of the control protocol is not known; this server speaks version {VERSION}"
            ));
        }
        Err(_) => return Reply::error("the line is no JSON object, or names no version"),
    }
    let request = match serde_json::from_slice::<Version<Request>>(line) {
        Ok(request) => request.said,
        // What serde says may quote the value: of a password nothing is repeated.
        Err(_) if line.windows(8).any(|octets| octets == b"password") => {
            return Reply::error("the request is malformed");
        }
        Err(error) if error.to_string().starts_with("unknown variant") => {
            let version = env!("CARGO_PKG_VERSION");
            return Reply::Error(format!("this server ({version}) does not know the request: {error}"));
        }
        Err(error) => return Reply::Error(format!("the request is malformed: {error}")),
    };
    match request {
        Request::Ping {} => {
            Reply::Ok(Body::Server { version: env!("CARGO_PKG_VERSION").to_string(), process: std::process::id() })
        }
        Request::UserAdd { name, password, edit } => change(directory, shards, Change::Add { name, password, edit }),
        Request::UserPasswd { name, password } => change(directory, shards, Change::Password { name, password }),
        Request::UserSet { name, edit } => change(directory, shards, Change::Set { name, edit }),
        Request::UserDelete { name } => change(directory, shards, Change::Delete { name }),
        Request::UserList {} => asked(
            |reply| directory.list(reply),
            |listed| Reply::Ok(Body::Users(listed.into_iter().map(Into::into).collect())),
        ),
        Request::DomainSet { domain, catch_all } => asked(
            |reply| directory.set_catch_all(domain, catch_all, reply),
            |set| set.map_or_else(refused, |domain| Reply::Ok(Body::Domain(domain.into()))),
        ),
        Request::DomainList {} => asked(
            |reply| directory.domains(reply),
            |domains| Reply::Ok(Body::Domains(domains.into_iter().map(Into::into).collect())),
        ),
        Request::Who { which, after } => who(shards, which, after.unwrap_or_default()),
        Request::Kick { which } => kick(shards, which),
        Request::Stat {} => Reply::Ok(Body::Stat(Box::new(shards.figures().into()))),
    }
}

fn who(shards: &Shards, which: Which, from: (usize, usize)) -> Reply {
    let which = match meant(which) {
        Ok(which) => which,
        Err(expected) => return Reply::Error(expected),
    };
    match shards.who(&which, from) {
        Ok((page, next)) => {
            let sessions = page.sessions.into_iter().map(|seen| Session::of(from.0, seen)).collect();
            Reply::Ok(Body::Sessions { sessions, next })
        }
        Err(shard) => Reply::Error(format!("shard {shard} does not answer")),
    }
}

fn kick(shards: &Shards, which: Which) -> Reply {
    if which.id.is_none() && which.user.is_none() && which.address.is_none() {
        return Reply::error("kick needs a session, a user or an address");
    }
    match meant(which).map(|which| shards.kick(&which)) {
        Ok(Ok(sessions)) => Reply::Ok(Body::Kicked { sessions }),
        Ok(Err(shard)) => Reply::Error(format!("shard {shard} does not answer; its sessions may go on")),
        Err(expected) => Reply::Error(expected),
    }
}

fn meant(which: Which) -> Result<shard::Which, String> {
    let Which { id, user, address } = which;
    let network = address.map(|address| {
        let wrong = |expected| format!("expected {expected}, found {address:?}");
        address.parse().map_err(wrong)
    });
    Ok(shard::Which { id, user, account: None, network: network.transpose()? })
}

/// Makes a change; it ends the sessions of an account that nobody may log in to any more.
fn change(directory: &Handle, shards: &Shards, change: Change) -> Reply {
    let shuts = match &change {
        Change::Set { edit, .. } => edit.enabled == Some(false),
        Change::Delete { .. } => true,
        Change::Add { .. } | Change::Password { .. } => false,
    };
    let changed = |listed: Listed| {
        let which = shard::Which { account: Some(AccountId(listed.account)), ..Default::default() };
        match if shuts { shards.kick(&which) } else { Ok(0) } {
            Ok(_) => Reply::Ok(Body::User(listed.into())),
            Err(shard) => {
                Reply::Error(format!("it is done, but shard {shard} does not answer: sessions of it may go on"))
            }
        }
    };
    asked(|reply| directory.admin(change, reply), |made| made.map_or_else(refused, changed))
}

fn refused(refusal: Refusal) -> Reply {
    Reply::Error(refusal.to_string())
}

/// Puts a question to the directory, and waits for what it says.
fn asked<T: Send + 'static>(question: impl FnOnce(hop::Reply<T>), said: impl FnOnce(T) -> Reply) -> Reply {
    let (reply, answer) = blocking_call();
    question(reply);
    match answer.recv_timeout(Duration::from_secs(CONTROL_SECONDS_MAX)) {
        Ok(answer) => said(answer),
        Err(_) => silent(),
    }
}

fn silent() -> Reply {
    Reply::error("the directory does not answer; whether the change was made is not known")
}
