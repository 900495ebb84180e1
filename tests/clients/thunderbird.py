#!/usr/bin/env python3
"""Thunderbird, without a screen, as a client: it is set up by its own user.js, synchronises a folder, sends a mail, and
reads it back. Driven over Marionette, its remote-control port; what it found is printed as JSON for the test to compare.

usage: thunderbird.py FOLDER MARIONETTE_PORT SETTINGS     (SETTINGS: a JSON file: ports, users, passwords, certificate)
"""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time

SECONDS = 90


class Marionette:
    """The remote-control protocol: `length:json`, one command at a time."""

    def __init__(self, port, process):
        end = time.monotonic() + SECONDS
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), 5)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.1)
        self.socket.settimeout(SECONDS)
        self.number = 0
        self.packet()
        self.command("WebDriver:NewSession", {})
        self.command("Marionette:SetContext", {"value": "chrome"})
        self.command("WebDriver:SetTimeouts", {"script": SECONDS * 1000})

    def octets(self, count):
        octets = b""
        while len(octets) < count:
            piece = self.socket.recv(count - len(octets))
            if not piece:
                raise EOFError("Thunderbird closed its remote control")
            octets += piece
        return octets

    def packet(self):
        length = b""
        while not length.endswith(b":"):
            length += self.octets(1)
        return json.loads(self.octets(int(length[:-1])))

    def command(self, name, parameters):
        self.number += 1
        message = json.dumps([0, self.number, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self.packet()
        if error:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}\n{error.get('stacktrace', '')}")
        return result

    def run(self, script, *arguments):
        """An async function body; its last act is `return`."""
        wrapped = (
            "const [given, done] = [Array.from(arguments).slice(0, -1), arguments[arguments.length - 1]];"
            "(async (...given) => {" + script + "})(...given)"
            ".then(value => done({value}), error => done({error: String(error) + '\\n' + (error && error.stack)}));"
        )
        parameters = {"script": wrapped, "args": list(arguments), "newSandbox": False}
        answer = self.command("WebDriver:ExecuteAsyncScript", parameters)["value"]
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]


def preferences(settings, port):
    user = settings["user"]
    return {
        "marionette.port": port,
        "mail.accountmanager.accounts": "account1",
        "mail.accountmanager.defaultaccount": "account1",
        "mail.account.account1.server": "server1",
        "mail.account.account1.identities": "id1",
        "mail.identity.id1.useremail": user,
        "mail.identity.id1.fullName": "Anna Muster",
        "mail.identity.id1.valid": True,
        "mail.identity.id1.smtpServer": "smtp1",
        "mail.identity.id1.fcc_folder": f"imap://{user.replace('@', '%40')}@127.0.0.1/Sent",
        "mail.server.server1.type": "imap",
        "mail.server.server1.hostname": "127.0.0.1",
        "mail.server.server1.port": settings["imaps"],
        "mail.server.server1.socketType": 3,
        "mail.server.server1.authMethod": 3,
        "mail.server.server1.userName": user,
        "mail.server.server1.name": "Ringpost",
        "mail.server.server1.login_at_startup": False,
        "mail.server.server1.offline_download": True,
        "mail.smtpservers": "smtp1",
        "mail.smtp.defaultserver": "smtp1",
        "mail.smtpserver.smtp1.hostname": "127.0.0.1",
        "mail.smtpserver.smtp1.port": settings["submission"],
        "mail.smtpserver.smtp1.try_ssl": 2,
        "mail.smtpserver.smtp1.authMethod": 3,
        "mail.smtpserver.smtp1.username": user,
        "mail.provider.suppress_dialog_on_startup": True,
        "mail.rights.version": 1,
        "mailnews.start_page.enabled": False,
        "mail.spotlight.firstRunDone": True,
        "app.update.enabled": False,
        "app.normandy.enabled": False,
        "extensions.update.enabled": False,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "toolkit.telemetry.enabled": False,
        "services.settings.server": "http://127.0.0.1:9/",
    }


# The certificate is the server's own; the passwords go where Thunderbird keeps them.
TRUST = """
const [certificate, ports, user, password] = given;
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const database = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
const overrides = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
for (const port of ports) {
  overrides.rememberValidityOverride("127.0.0.1", port, {}, database.constructX509FromBase64(certificate), false);
}
for (const origin of ["imap://127.0.0.1", "smtp://127.0.0.1"]) {
  const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
  login.init(origin, null, origin, user, password, "", "");
  await Services.logins.addLoginAsync(login);
}
return MailServices.accounts.accounts.length;
"""

# Waits until a folder has so many messages, asking the server now and then.
HAS = """
async function has(folder, count) {
  for (let turn = 0; turn < 120; turn++) {
    if (folder.getTotalMessages(false) >= count) return;
    if (turn % 10 == 0) folder.updateFolder(null);
    await new Promise(resolve => setTimeout(resolve, 250));
  }
  throw new Error(`${folder.name}: ${folder.getTotalMessages(false)} of ${count} messages`);
}
async function text(folder, header) {
  const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
  const uri = folder.getUriForMsg(header);
  const service = MailServices.messageServiceFromURI(uri);
  return await new Promise((resolve, reject) => {
    const parts = [];
    const listener = {
      QueryInterface: ChromeUtils.generateQI(["nsIStreamListener", "nsIRequestObserver"]),
      onStartRequest() {},
      onDataAvailable(request, stream, offset, count) {
        const binary = Cc["@mozilla.org/binaryinputstream;1"].createInstance(Ci.nsIBinaryInputStream);
        binary.setInputStream(stream);
        parts.push(binary.readBytes(count));
      },
      onStopRequest(request, status) {
        Components.isSuccessCode(status) ? resolve(btoa(parts.join(""))) : reject(new Error("status " + status));
      },
    };
    service.streamMessage(uri, listener, null, null, false, "", false);
  });
}
"""

SYNCHRONISE = HAS + """
const [count] = given;
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const server = MailServices.accounts.accounts[0].incomingServer;
const root = server.rootFolder;
server.performExpand(null);
let inbox;
for (let turn = 0; turn < 120 && !inbox; turn++) {
  inbox = root.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
  await new Promise(resolve => setTimeout(resolve, 250));
}
if (!inbox) throw new Error("no INBOX was found");
await has(inbox, count);
const found = [];
for (const header of inbox.messages) {
  found.push({subject: header.mime2DecodedSubject, octets: await text(inbox, header)});
}
const names = [];
const walk = folder => { for (const child of folder.subFolders) { names.push(child.name); walk(child); } };
walk(root);
return {messages: found, folders: names};
"""

SEND = """
const [user, subject, body] = given;
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const account = MailServices.accounts.accounts[0];
const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
fields.from = user;
fields.to = user;
fields.subject = subject;
fields.body = body;
fields.forcePlainText = true;
const parameters = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
const sender = Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend);
return await new Promise((resolve, reject) => {
  const listener = {
    QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener", "nsIMsgCopyServiceListener"]),
    onStartSending() {}, onProgress() {}, onStatus() {}, onGetDraftFolderURI() {},
    onSendNotPerformed(id, status) { reject(new Error("not sent: " + status)); },
    onTransportSecurityError(id, status) { reject(new Error("TLS: " + status)); },
    onStopSending(id, status, message) {
      Components.isSuccessCode(status) ? resolve(id) : reject(new Error("not sent: " + status.toString(16) + " " + message));
    },
    onStartCopy() {}, onProgressCopy() {}, setMessageKey() {}, getMessageId() { return null; }, onStopCopy() {},
  };
  sender.createAndSendMessage(null, account.defaultIdentity, account.key, fields, false, false,
    Ci.nsIMsgCompDeliverMode.Now, null, "text/plain", body, null, null, listener, null, null,
    Ci.nsIMsgCompType.New);
});
"""

QUIT = "setTimeout(() => Services.startup.quit(Ci.nsIAppStartup.eForceQuit), 100); return true;"


def main():
    folder, port = sys.argv[1], int(sys.argv[2])
    with open(sys.argv[3]) as file:
        settings = json.load(file)
    profile = os.path.join(folder, "profile")
    os.makedirs(profile)
    with open(os.path.join(profile, "user.js"), "w") as file:
        for name, value in preferences(settings, port).items():
            file.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
    command = ["thunderbird", "--headless", "--marionette", "-remote-allow-system-access", "--profile", profile]
    environment = {**os.environ, "HOME": folder, "MOZ_CRASHREPORTER_DISABLE": "1"}
    with open(os.path.join(folder, "thunderbird.log"), "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        thunderbird = Marionette(port, process)
        with open(settings["certificate"]) as file:
            lines = file.read().split("-----END CERTIFICATE-----")[0].splitlines()
        certificate = "".join(line for line in lines if line and "-----" not in line)
        ports = [settings["imaps"], settings["submission"]]
        accounts = thunderbird.run(TRUST, certificate, ports, settings["user"], settings["password"])
        before = thunderbird.run(SYNCHRONISE, settings["messages"])
        sent = thunderbird.run(SEND, settings["user"], settings["subject"], settings["body"])
        after = thunderbird.run(SYNCHRONISE, settings["messages"] + 1)
        print(json.dumps({"accounts": accounts, "before": before, "sent": sent, "after": after}))
        thunderbird.run(QUIT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            pass  # what was asked of it is done; it is ended below
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


main()
