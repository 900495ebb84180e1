// A session of ImapFlow (npm) against the server.
//
// imapflow_session.mjs PORT USER PASSWORD MESSAGE-FILE    (NODE_PATH or the working folder has node_modules/imapflow)
// Prints `done` at the end; anything else is an uncaught error.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { ImapFlow } = createRequire(process.cwd() + '/')('imapflow');
const [port, user, pass, path] = process.argv.slice(2);
const message = readFileSync(path);

const connect = async () => {
    const client = new ImapFlow({
        host: '127.0.0.1', port: Number(port), secure: true, auth: { user, pass }, logger: false,
        tls: { rejectUnauthorized: false },
    });
    await client.connect();
    return client;
};

const client = await connect();
assert.ok(client.capabilities.has('MOVE') && client.capabilities.has('UIDPLUS') && client.capabilities.has('IDLE'));
const uses = Object.fromEntries((await client.list()).map(mailbox => [mailbox.path, mailbox.specialUse]));
assert.deepEqual(
    [uses.Drafts, uses.Sent, uses.Junk, uses.Trash, uses.Archive],
    ['\\Drafts', '\\Sent', '\\Junk', '\\Trash', '\\Archive'],
);
assert.equal((await client.mailboxCreate(['flow', 'Entwürfe'])).created, true);
await client.mailboxSubscribe('flow/Entwürfe');
assert.ok((await client.list()).find(mailbox => mailbox.path === 'flow/Entwürfe').subscribed);

const appended = await client.append('flow/Entwürfe', message, ['\\Seen', '$Label1'], new Date('2025-11-21T10:00:00Z'));
assert.equal(appended.uid, 1);
await client.append('flow/Entwürfe', 'Subject: second\r\n\r\nWort\r\n');
let lock = await client.getMailboxLock('flow/Entwürfe');
assert.equal(client.mailbox.exists, 2);
const first = await client.fetchOne('1', { uid: true, flags: true, envelope: true, bodyStructure: true, source: true, size: true, internalDate: true });
assert.ok(first.source.equals(message));
assert.equal(first.size, message.length);
assert.ok(first.flags.has('\\Seen') && first.flags.has('$Label1'));
assert.equal(first.internalDate.toISOString(), '2025-11-21T10:00:00.000Z');
const { content } = await client.download('1');
const chunks = [];
for await (const chunk of content) chunks.push(chunk);
assert.ok(Buffer.concat(chunks).equals(message));
assert.deepEqual(await client.search({ subject: 'second' }, { uid: true }), [2]);
assert.deepEqual(await client.search({ or: [{ seen: true }, { body: 'Wort' }] }), [1, 2]);
await client.messageFlagsAdd('2', ['\\Flagged']);
await client.messageFlagsRemove('2', ['\\Flagged']);
const copied = await client.messageCopy('1:2', 'Archive');
assert.deepEqual([...copied.uidMap], [[1, 1], [2, 2]]);
const moved = await client.messageMove('2', 'Trash', { uid: true });
assert.deepEqual([...moved.uidMap], [[2, 1]]);
assert.equal(client.mailbox.exists, 1);
await client.messageDelete('1');
assert.equal(client.mailbox.exists, 0);
lock.release();

// IDLE begins by itself; a second session's message is told.
lock = await client.getMailboxLock('INBOX');
const told = new Promise(resolve => client.once('exists', resolve));
const idle = client.idle();
const other = await connect();
await other.append('INBOX', message);
assert.equal((await told).count, 1);
await client.noop();
await idle;
lock.release();
assert.equal((await client.status('Archive', { messages: true, uidNext: true })).messages, 2);
await client.mailboxRename('flow/Entwürfe', 'flow/Neu');
await client.mailboxDelete('flow/Neu');
await other.logout();
await client.logout();
console.log('done');
