# A session of Mail::IMAPClient (Debian's libmail-imapclient-perl) against the server.
#
# mail_imapclient_session.pl PORT USER PASSWORD MESSAGE-FILE
# Prints `done` at the end; anything else dies with the last error.
use strict;
use warnings;
use Mail::IMAPClient;

my ($port, $user, $password, $path) = @ARGV;
open my $file, '<:raw', $path or die "$path: $!";
my $message = do { local $/; <$file> };

my $imap = Mail::IMAPClient->new(
    Server   => '127.0.0.1',
    Port     => $port,
    User     => $user,
    Password => $password,
    Ssl      => [SSL_verify_mode => 0],
    Uid      => 1,
    Timeout  => 20,
) or die "no login: $@";

sub must {
    my ($what, $value) = @_;
    die "$what: " . ($imap->LastError // 'no') . "\n" unless $value;
    return $value;
}

for my $name (qw(UIDPLUS MOVE NAMESPACE ID IDLE CHILDREN SPECIAL-USE)) {
    must("capability $name", $imap->has_capability($name));
}
must('separator', $imap->separator eq '/');
must('create', $imap->create('perl/inner'));
must('exists', $imap->exists('perl/inner'));
must('subscribe', $imap->subscribe('perl/inner'));
must('subscribed', grep { $_ eq 'perl/inner' } $imap->subscribed);
must('is_parent', $imap->is_parent('perl'));

my $uid = must('append', $imap->append_string('perl/inner', $message, '\Flagged', '21-Nov-2025 10:00:00 +0100'));
must('APPENDUID', $uid =~ /^\d+$/);
must('append', $imap->append_string('perl/inner', "Subject: other\r\n\r\ntext\r\n"));
must('select', $imap->select('perl/inner'));
must('count', $imap->message_count == 2);
my @all = $imap->messages;
must('messages', @all == 2);
must('the UID of the append', $all[0] == $uid);
must('the same octets', $imap->message_string($uid) eq $message);
must('size', $imap->size($uid) == length $message);
must('date', $imap->internaldate($uid) eq '21-Nov-2025 10:00:00 +0100');
must('flags', grep { $_ eq '\Flagged' } $imap->flags($uid));
must('subject', $imap->subject($all[1]) eq 'other');
must('header', ref $imap->parse_headers($all[1], 'Subject') eq 'HASH');
must('envelope', $imap->get_envelope($all[0]));
must('structure', $imap->get_bodystructure($all[0]));
must('search', join(',', $imap->search('SUBJECT', $imap->Quote('other'))) eq $all[1]);
must('unseen', join(',', $imap->unseen) =~ /\b$all[1]\b/);
must('see', $imap->see($all[1]));
must('copy', $imap->copy('Archive', $all[0]));
must('move', $imap->move('Trash', $all[1]));
must('expunge', $imap->expunge);
must('what is left', $imap->message_count == 1);
must('delete_message', $imap->delete_message($all[0]));
must('uidexpunge', $imap->uidexpunge($all[0]));
must('nothing left', $imap->message_count == 0);
must('status', $imap->message_count('Archive') == 1);
must('rename', $imap->rename('perl/inner', 'perl/outer'));
must('unsubscribe', $imap->unsubscribe('perl/outer'));
must('examine', $imap->examine('Archive'));
must('close', $imap->close);
must('delete', $imap->delete('perl/outer'));
must('noop', $imap->noop);
must('logout', $imap->logout);
print "done\n";
