//! CREATE (RFC 3501 §6.3.3), with a special use where the client asks for one (RFC 6154 §3).
//!
//! Names are checked by the store: a mailbox name is data, never a path. OK is said when the mailbox is durable.

use super::tell::refusal;
use super::{Dialogue, special_use};
use crate::store::{CreateError, SpecialUse};

impl Dialogue {
    pub(super) async fn create(&mut self, mailbox: &str, uses: &[&str]) -> Result<(), &'static str> {
        // A name that ends in the separator declares that mailboxes will be made below it.
        let name = mailbox.strip_suffix('/').unwrap_or(mailbox);
        let account = self.account().await?;
        let special_use = match uses {
            [] => SpecialUse::None,
            [one] => special_use::named(one).ok_or("NO [USEATTR] No mailbox can have this special use")?,
            _ => return Err("NO [USEATTR] A mailbox has one special use"),
        };
        match account.create_with(name, special_use).await {
            Ok(_) => Ok(()),
            Err(CreateError::Exists) => Err("NO [ALREADYEXISTS] The mailbox exists"),
            Err(CreateError::Invalid) => Err("NO [CANNOT] No mailbox can have this name"),
            // RFC 6154 §3: which a server may refuse as a conflict.
            Err(CreateError::UseTaken) => Err("NO [USEATTR] Another mailbox has this special use"),
            Err(CreateError::TooMany) => Err("NO [LIMIT] Too many mailboxes"),
            Err(CreateError::Store(error)) => Err(refusal(&error)),
        }
    }
}
