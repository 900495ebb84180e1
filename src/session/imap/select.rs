//! SELECT, EXAMINE, CLOSE and UNSELECT (RFC 3501 §6.3.1, §6.3.2, §6.4.2; RFC 3691).
//!
//! A selected mailbox is a view of the store. The account is opened by the first command that needs it, and stays open
//! with the session.

use super::tell::refusal;
use super::{Dialogue, State, User, flags};
use crate::proto::imap::respond;
use crate::store::{Account, Mailbox, View};

pub(super) const NO_MAILBOX: &str = "NO [NONEXISTENT] No such mailbox";

impl Dialogue {
    pub(super) async fn select(&mut self, tag: &str, mailbox: &str, read_only: bool) {
        // RFC 3501 §6.3.1: a SELECT that fails leaves no mailbox selected.
        self.deselect();
        let mailbox = match self.mailbox(mailbox).await {
            Ok(mailbox) => mailbox,
            Err(text) => return self.answer(tag, text),
        };
        let view = mailbox.view(read_only);
        self.wire.presence().select(Some(mailbox.name()));
        self.write_selected(&view);
        let State::Authenticated(user) = std::mem::replace(&mut self.state, State::NotAuthenticated) else {
            unreachable!("deselected above")
        };
        self.state = State::Selected(user, view);
        self.answer(
            tag,
            match read_only {
                true => "OK [READ-ONLY] EXAMINE completed",
                false => "OK [READ-WRITE] SELECT completed",
            },
        );
    }

    fn write_selected(&mut self, view: &View) {
        let mailbox = view.mailbox();
        self.keywords_told = mailbox.keyword_count();
        let out = self.wire.output();
        flags::write_known(out, view);
        let mut line = |before: &str, number: u32, after: &str| {
            out.extend_from_slice(before.as_bytes());
            respond::number(out, u64::from(number));
            out.extend_from_slice(after.as_bytes());
        };
        line("* ", view.exists(), " EXISTS\r\n");
        line("* ", view.recent(), " RECENT\r\n");
        if let Some(unseen) = view.first_unseen() {
            line("* OK [UNSEEN ", unseen, "] First unseen message\r\n");
        }
        line("* OK [UIDVALIDITY ", mailbox.uid_validity().0, "] UIDs are valid\r\n");
        line("* OK [UIDNEXT ", mailbox.uid_next(), "] Next UID\r\n");
    }

    /// CLOSE: expunges without telling, unless the mailbox is read-only. One that was deleted can be left all the same.
    pub(super) async fn close(&mut self, tag: &str) {
        if let State::Selected(_, view) = &self.state
            && !view.is_read_only()
            && let Err(error) = view.expunge(&[1..=u32::MAX], true).await
            && !view.is_gone()
        {
            return self.answer(tag, refusal(&error));
        }
        self.deselect();
        self.answer(tag, "OK CLOSE completed");
    }

    pub(super) fn unselect(&mut self, tag: &str) {
        self.deselect();
        self.answer(tag, "OK UNSELECT completed");
    }

    pub(super) fn deselect(&mut self) {
        self.wire.presence().select(None);
        self.state = match std::mem::replace(&mut self.state, State::NotAuthenticated) {
            State::Selected(user, _) => State::Authenticated(user),
            state => state,
        };
    }

    fn user(&mut self) -> Option<&mut User> {
        match &mut self.state {
            State::NotAuthenticated => None,
            State::Authenticated(user) | State::Selected(user, _) => Some(user),
        }
    }

    /// The user's account, opened by the first command that needs it.
    pub(super) async fn account(&mut self) -> Result<Account, &'static str> {
        let context = self.context.clone();
        let Some(user) = self.user() else { return Err("BAD Log in first") };
        if let Some(account) = &user.account {
            return Ok(account.clone());
        }
        match context.store.account(user.id).await {
            Ok(account) => {
                user.account = Some(account.clone());
                Ok(account)
            }
            Err(error) => Err(refusal(&error)),
        }
    }

    pub(super) async fn mailbox(&mut self, name: &str) -> Result<Mailbox, &'static str> {
        self.account().await?.mailbox(name).ok_or(NO_MAILBOX)
    }
}
