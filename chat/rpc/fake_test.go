package rpc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hearsay/chat"
)

// note remembers a call that returns nothing, and refuses what names "none".
func (f *fakeChat) note(format string, args ...any) error {
	call := fmt.Sprintf(format, args...)
	f.mu.Lock()
	f.calls = append(f.calls, call)
	f.mu.Unlock()
	if strings.Contains(call, "none") {
		return &chat.Error{Kind: chat.KindNotFound, Text: "there is no such thing", Hint: "list them"}
	}
	return nil
}

func (f *fakeChat) Path(contact string) (chat.Path, bool) {
	if contact != "c_1" {
		return chat.Path{}, false
	}
	return chat.Path{Relays: []string{"otter", "plum", "wren"}, Mailbox: "fern", RTT: 212 * time.Millisecond, Open: true}, true
}

func (f *fakeChat) SetCover(_ context.Context, name string) error { return f.note("cover %s", name) }

func (f *fakeChat) Invites(context.Context) ([]chat.Invite, error) {
	return []chat.Invite{{ID: "i_1", Link: "HEARSAY:AAAA", Name: "marta", Expires: when, State: "waiting"}}, nil
}

func (f *fakeChat) RevokeInvite(_ context.Context, id string) error { return f.note("revoke %s", id) }

func (f *fakeChat) CreateAddress(_ context.Context, label string) (chat.Address, error) {
	return chat.Address{ID: "a_1", Link: "HEARSAY:BBBB", Label: label, Effort: 22}, nil
}

func (f *fakeChat) Addresses(context.Context) ([]chat.Address, error) {
	return []chat.Address{{ID: "a_1", Link: "HEARSAY:BBBB", Effort: 23, State: "published"}}, nil
}

func (f *fakeChat) RevokeAddress(_ context.Context, id string) error {
	return f.note("revoke address %s", id)
}

func (f *fakeChat) Requests(context.Context) ([]chat.Request, error) {
	return []chat.Request{{ID: "r_1", Address: "a_1", Name: "nils", Text: "hello", Time: when, Effort: 22}}, nil
}

func (f *fakeChat) AcceptRequest(_ context.Context, id, name string) (chat.Contact, error) {
	return chat.Contact{ID: "c_1", Name: name}, f.note("accept %s", id)
}

func (f *fakeChat) RejectRequest(_ context.Context, id string, block bool) error {
	return f.note("reject %s %t", id, block)
}

func (f *fakeChat) RenameContact(_ context.Context, contact, name string) error {
	return f.note("rename %s %s", contact, name)
}

func (f *fakeChat) BlockContact(_ context.Context, contact string) error {
	return f.note("block %s", contact)
}

func (f *fakeChat) UnblockContact(_ context.Context, contact string) error {
	return f.note("unblock %s", contact)
}

func (f *fakeChat) RemoveContact(_ context.Context, contact string) error {
	return f.note("remove %s", contact)
}

func (f *fakeChat) VerifyContact(_ context.Context, contact, number string) error {
	if number != "28471 90312" {
		return &chat.Error{Kind: chat.KindRefused, Text: "the numbers differ"}
	}
	return f.note("verify %s", contact)
}

func (f *fakeChat) CompareWords(_ context.Context, contact string) error {
	return f.note("compare %s", contact)
}

func (f *fakeChat) VerifyWords(_ context.Context, contact, words string) error {
	return f.note("words %s %s", contact, words)
}

func (f *fakeChat) SetConversation(_ context.Context, contact string, c chat.ConversationChange) error {
	call := "set " + contact
	if c.DisappearAfter != nil {
		call += " after " + c.DisappearAfter.String()
	}
	for name, flag := range map[string]*bool{"muted": c.Muted} {
		if flag != nil {
			call += fmt.Sprintf(" %s=%t", name, *flag)
		}
	}
	for _, flag := range []*bool{c.Archived, c.Pinned} {
		if flag != nil {
			call += fmt.Sprintf(" %t", *flag)
		}
	}
	if c.Draft != nil {
		call += " draft " + *c.Draft
	}
	return f.note("%s", call)
}

func (f *fakeChat) MarkDisplayed(_ context.Context, contact string, upto uint64) error {
	return f.note("displayed %s %d", contact, upto)
}

func (f *fakeChat) MessagesBefore(_ context.Context, contact string, before uint64, limit int) ([]chat.Message, error) {
	if err := f.note("before %s %d %d", contact, before, limit); err != nil {
		return nil, err
	}
	var ms []chat.Message
	for seq := max(before, 3) - 2; seq < before && len(ms) < limit; seq++ {
		ms = append(ms, chat.Message{ID: fmt.Sprintf("m_1_%d", seq), Contact: contact, Direction: chat.In, Text: "old", Seq: seq, Time: when, State: chat.Received})
	}
	return ms, nil
}

func (f *fakeChat) Retry(_ context.Context, message string) error { return f.note("retry %s", message) }

func (f *fakeChat) PauseFile(_ context.Context, id string) error { return f.note("pause %s", id) }

func (f *fakeChat) NewCircuits(context.Context) error { return f.note("circuits") }

func (f *fakeChat) NetworkView(context.Context) (chat.NetworkView, error) {
	return networkFixture(), f.note("network")
}

func (f *fakeChat) Why(_ context.Context, message string) (chat.Why, error) {
	next := when.Add(time.Minute)
	return chat.Why{
		History: []chat.HistoryEntry{{Time: when, State: chat.Queued, Detail: "written to this disk, 1 block"}},
		NextTry: &next, Next: "the next sign of life",
	}, f.note("why %s", message)
}

func (f *fakeChat) React(_ context.Context, message, emoji string) error {
	return f.note("react %s %s", message, emoji)
}

func (f *fakeChat) Edit(_ context.Context, message, text string) error {
	return f.note("edit %s %s", message, text)
}

func (f *fakeChat) Delete(_ context.Context, message string, both bool) error {
	return f.note("delete %s %t", message, both)
}

func (f *fakeChat) Search(_ context.Context, text, contact string, limit int) ([]chat.Message, error) {
	return []chat.Message{
		{ID: "m_1_3", Contact: "c_1", Direction: chat.Out, Text: fmt.Sprintf("<%s in %q limit %d>", text, contact, limit), Seq: 3, Time: when, State: chat.Delivered},
	}, nil
}

func (f *fakeChat) Export(_ context.Context, contact, path string) (int, error) {
	return 7, f.note("export %s %s", contact, path)
}

func (f *fakeChat) SendFile(_ context.Context, contact, path string, o chat.SendFileOptions) (chat.File, error) {
	return chat.File{ID: "f_1", Contact: contact}, f.note("file %s %s %s %t", contact, path, o.Key, o.Burst)
}

func (f *fakeChat) FetchFile(_ context.Context, id string, burst bool) error {
	return f.note("fetch %s %t", id, burst)
}

func (f *fakeChat) SaveFile(_ context.Context, id, path string) error {
	return f.note("save %s %s", id, path)
}

func (f *fakeChat) CancelFile(_ context.Context, id string) error { return f.note("cancel %s", id) }

func (f *fakeChat) Files(context.Context, string) ([]chat.File, error) {
	return []chat.File{{ID: "f_1", Contact: "c_1", Direction: chat.In, Name: "layout.pdf", Size: 1 << 21, Done: 1 << 20, State: chat.FileFetching, Time: when}}, nil
}

func (f *fakeChat) CreateGroupOnce(_ context.Context, name string, contacts []string, key string) (chat.Group, error) {
	return chat.Group{ID: "g_1", Name: name}, f.note("group %s %v %s", name, contacts, key)
}

func (f *fakeChat) AddMember(_ context.Context, group, contact string) error {
	return f.note("add %s %s", group, contact)
}

func (f *fakeChat) RemoveMember(_ context.Context, group, contact string) error {
	return f.note("take %s %s", group, contact)
}

func (f *fakeChat) RenameGroup(_ context.Context, group, name string) error {
	return f.note("rename group %s %s", group, name)
}

func (f *fakeChat) LeaveGroup(_ context.Context, group string) error {
	return f.note("leave %s", group)
}

func (f *fakeChat) Groups(context.Context) ([]chat.Group, error) {
	return []chat.Group{{ID: "g_1", Name: "printers", Members: []string{"c_1"}, State: "active", Admin: true}, {ID: "g_2", Name: "gone", State: "left"}}, nil
}

func (f *fakeChat) Lock(context.Context) error { return f.note("lock") }

func (f *fakeChat) Unlock(_ context.Context, passphrase []byte) error {
	if string(passphrase) == "wrong" {
		return fmt.Errorf("unlock: %w", chat.ErrPassphrase)
	}
	return f.note("unlock %s", passphrase)
}

func (f *fakeChat) ChangePassphrase(_ context.Context, old, passphrase []byte) error {
	return f.note("passphrase %q %q", old, passphrase)
}

func (f *fakeChat) Wipe(context.Context) error { return f.note("wipe") }

func (f *fakeChat) Backup(_ context.Context, path string, passphrase []byte, history bool) error {
	return f.note("backup %s %s %t", path, passphrase, history)
}

func (f *fakeChat) SubscribeSince(_ context.Context, since uint64) (*chat.Subscription, error) {
	feed := chat.NewFeed(since)
	s := feed.Subscribe()
	feed.Publish(chat.Event{Type: chat.ContactAdded, Contact: &chat.Contact{ID: "c_1", Name: "replayed"}})
	feed.Close()
	return s, nil
}
