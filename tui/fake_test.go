package tui

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"hearsay/chat"
)

// testNow is the clock of the tests: a Saturday.
var testNow = time.Date(2026, 11, 21, 14, 5, 0, 0, time.UTC)

// fakeChat answers from memory. Every call is noted; fail makes calls fail by the
// name of the method.
type fakeChat struct {
	mu       sync.Mutex
	feed     *chat.Feed
	status   chat.Status
	path     chat.Path
	view     chat.NetworkView
	contacts []chat.Contact
	groups   []chat.Group
	requests []chat.Request
	invites  []chat.Invite
	addrs    []chat.Address
	files    []chat.File
	messages map[string][]chat.Message
	why      chat.Why
	invite   chat.Invite
	address  chat.Address
	texts    []string // sent
	calls    []string // "Method arguments"
	fail     map[string]error
}

// note remembers a call and returns how it ends.
func (f *fakeChat) note(method string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	line := method
	for _, a := range args {
		line += " " + fmt.Sprint(a)
	}
	f.calls = append(f.calls, line)
	return f.fail[method]
}

// sent returns the texts that were sent.
func (f *fakeChat) sent() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.texts)
}

// count tells how often a method was called.
func (f *fakeChat) count(method string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if name, _, _ := strings.Cut(c, " "); name == method {
			n++
		}
	}
	return n
}

// called tells whether a call was made, by the beginning of its line.
func (f *fakeChat) called(line string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.calls, func(c string) bool { return strings.HasPrefix(c, line) })
}

func (f *fakeChat) Status() chat.Status           { return f.status }
func (f *fakeChat) Path(string) (chat.Path, bool) { return f.path, len(f.path.Relays) > 0 }
func (f *fakeChat) Subscribe() *chat.Subscription { return f.feed.Subscribe() }

func (f *fakeChat) NetworkView(context.Context) (chat.NetworkView, error) {
	return f.view, f.note("NetworkView")
}

func (f *fakeChat) SetCover(_ context.Context, name string) error {
	err := f.note("SetCover", name)
	if err == nil {
		f.status.Cover = name
	}
	return err
}

func (f *fakeChat) Consent(context.Context) error {
	if !f.status.Outlook.NeedsConsent {
		return errors.New("nothing waits for your consent")
	}
	f.status.Outlook.NeedsConsent = false
	return f.note("Consent")
}

func (f *fakeChat) CreateInvite(_ context.Context, name string) (chat.Invite, error) {
	inv, err := f.invite, f.note("CreateInvite", name)
	inv.Name = name
	if err == nil {
		f.invites = append(f.invites, inv)
	}
	return inv, err
}

func (f *fakeChat) Invites(context.Context) ([]chat.Invite, error) {
	return slices.Clone(f.invites), f.note("Invites")
}

func (f *fakeChat) RevokeInvite(_ context.Context, id string) error {
	f.invites = slices.DeleteFunc(f.invites, func(i chat.Invite) bool { return i.ID == id })
	return f.note("RevokeInvite", id)
}

func (f *fakeChat) AcceptInvite(_ context.Context, link, name string) (chat.Contact, error) {
	return f.newContact(name, f.note("AcceptInvite", link, name))
}

func (f *fakeChat) AskContact(_ context.Context, link, name, as, text string) (chat.Contact, error) {
	return f.newContact(name, f.note("AskContact", link, name, as, text))
}

func (f *fakeChat) newContact(name string, err error) (chat.Contact, error) {
	if err != nil {
		return chat.Contact{}, err
	}
	c := chat.Contact{ID: "c_new", Name: name, State: chat.ContactInvited}
	f.contacts = append(f.contacts, c)
	return c, nil
}

func (f *fakeChat) CreateAddress(_ context.Context, label string) (chat.Address, error) {
	a, err := f.address, f.note("CreateAddress", label)
	a.Label = label
	if err == nil {
		f.addrs = append(f.addrs, a)
	}
	return a, err
}

func (f *fakeChat) Addresses(context.Context) ([]chat.Address, error) {
	return slices.Clone(f.addrs), f.note("Addresses")
}

func (f *fakeChat) Requests(context.Context) ([]chat.Request, error) {
	return slices.Clone(f.requests), f.note("Requests")
}

func (f *fakeChat) AcceptRequest(_ context.Context, id, name string) (chat.Contact, error) {
	f.requests = slices.DeleteFunc(f.requests, func(r chat.Request) bool { return r.ID == id })
	return f.newContact(name, f.note("AcceptRequest", id, name))
}

func (f *fakeChat) RejectRequest(_ context.Context, id string, block bool) error {
	f.requests = slices.DeleteFunc(f.requests, func(r chat.Request) bool { return r.ID == id })
	return f.note("RejectRequest", id, block)
}

func (f *fakeChat) Contacts(context.Context) ([]chat.Contact, error) {
	return slices.Clone(f.contacts), f.note("Contacts")
}

func (f *fakeChat) SetConversation(_ context.Context, id string, change chat.ConversationChange) error {
	for i := range f.contacts {
		if f.contacts[i].ID != id {
			continue
		}
		s := chat.Conversation{}
		if f.contacts[i].Settings != nil {
			s = *f.contacts[i].Settings
		}
		if change.Draft != nil {
			s.Draft = *change.Draft
		}
		if change.Muted != nil {
			s.Muted = *change.Muted
		}
		if change.Archived != nil {
			s.Archived = *change.Archived
		}
		if change.Pinned != nil {
			s.Pinned = *change.Pinned
		}
		if change.DisappearAfter != nil {
			s.DisappearAfter = *change.DisappearAfter
		}
		f.contacts[i].Settings = &s
	}
	return f.note("SetConversation", id)
}

func (f *fakeChat) StartSend(_ context.Context, contact, text string, o chat.SendOptions) func() (chat.Message, error) {
	err := f.note("Send", contact, text, o.Reply)
	f.mu.Lock()
	n := len(f.calls) + 1000
	if err == nil {
		f.texts = append(f.texts, text)
	}
	f.mu.Unlock()
	return func() (chat.Message, error) {
		if err != nil {
			return chat.Message{}, err
		}
		return chat.Message{
			ID: fmt.Sprintf("m_%d", n), Contact: contact, Direction: chat.Out, Text: text, Seq: uint64(n), Time: testNow,
			State: chat.Queued, Reply: o.Reply,
		}, nil
	}
}

func (f *fakeChat) Messages(_ context.Context, contact string, after uint64, limit int) ([]chat.Message, error) {
	var out []chat.Message
	for _, m := range f.messages[contact] {
		if m.Seq > after && len(out) < limit {
			out = append(out, m)
		}
	}
	return out, f.note("Messages", contact, after, limit)
}

func (f *fakeChat) MessagesBefore(_ context.Context, contact string, before uint64, limit int) ([]chat.Message, error) {
	all := f.messages[contact]
	end := len(all)
	if before > 0 {
		end = 0
		for end < len(all) && all[end].Seq < before {
			end++
		}
	}
	return slices.Clone(all[max(0, end-limit):end]), f.note("MessagesBefore", contact, before, limit)
}

func (f *fakeChat) Why(_ context.Context, message string) (chat.Why, error) {
	return f.why, f.note("Why", message)
}

func (f *fakeChat) Search(_ context.Context, text, contact string, limit int) ([]chat.Message, error) {
	var out []chat.Message
	for _, id := range slices.Sorted(maps.Keys(f.messages)) {
		for _, m := range f.messages[id] {
			if strings.Contains(strings.ToLower(m.Text), strings.ToLower(text)) && (contact == "" || contact == m.Contact) && len(out) < limit {
				out = append(out, m)
			}
		}
	}
	return out, f.note("Search", text, contact)
}

func (f *fakeChat) Export(_ context.Context, contact, path string) (int, error) {
	return len(f.messages[contact]), f.note("Export", contact, path)
}

func (f *fakeChat) SendFile(_ context.Context, contact, path string, o chat.SendFileOptions) (chat.File, error) {
	return chat.File{ID: "f_new", Contact: contact, Direction: chat.Out, Name: path, State: chat.FileSending}, f.note("SendFile", contact, path, o.Burst)
}

func (f *fakeChat) Files(_ context.Context, contact string) ([]chat.File, error) {
	return slices.Clone(f.files), f.note("Files", contact)
}

func (f *fakeChat) CreateGroupOnce(_ context.Context, name string, contacts []string, _ string) (chat.Group, error) {
	return chat.Group{ID: "g_new", Name: name, Members: contacts, State: chat.GroupActive, Admin: true}, f.note("CreateGroup", name, contacts)
}

func (f *fakeChat) Groups(context.Context) ([]chat.Group, error) {
	return slices.Clone(f.groups), f.note("Groups")
}

func (f *fakeChat) Unlock(_ context.Context, passphrase []byte) error {
	return f.note("Unlock", string(passphrase))
}

func (f *fakeChat) ChangePassphrase(_ context.Context, old, passphrase []byte) error {
	return f.note("ChangePassphrase", string(old), string(passphrase))
}

func (f *fakeChat) Backup(_ context.Context, path string, passphrase []byte, history bool) error {
	return f.note("Backup", path, string(passphrase), history)
}

func (f *fakeChat) NewCircuits(context.Context) error {
	return f.note("NewCircuits")
}

func (f *fakeChat) RevokeAddress(_ context.Context, id string) error {
	return f.note("RevokeAddress", id)
}

func (f *fakeChat) RenameContact(_ context.Context, contact, name string) error {
	return f.note("RenameContact", contact, name)
}

func (f *fakeChat) BlockContact(_ context.Context, contact string) error {
	return f.note("BlockContact", contact)
}

func (f *fakeChat) UnblockContact(_ context.Context, contact string) error {
	return f.note("UnblockContact", contact)
}

func (f *fakeChat) RemoveContact(_ context.Context, contact string) error {
	return f.note("RemoveContact", contact)
}

func (f *fakeChat) VerifyContact(_ context.Context, contact, number string) error {
	return f.note("VerifyContact", contact, number)
}

func (f *fakeChat) CompareWords(_ context.Context, contact string) error {
	return f.note("CompareWords", contact)
}

func (f *fakeChat) VerifyWords(_ context.Context, contact, words string) error {
	return f.note("VerifyWords", contact, words)
}

func (f *fakeChat) MarkDisplayed(_ context.Context, contact string, upto uint64) error {
	return f.note("MarkDisplayed", contact, upto)
}

func (f *fakeChat) Retry(_ context.Context, message string) error {
	return f.note("Retry", message)
}

func (f *fakeChat) React(_ context.Context, message, emoji string) error {
	return f.note("React", message, emoji)
}

func (f *fakeChat) Edit(_ context.Context, message, text string) error {
	return f.note("Edit", message, text)
}

func (f *fakeChat) Delete(_ context.Context, message string, both bool) error {
	return f.note("Delete", message, both)
}

func (f *fakeChat) FetchFile(_ context.Context, id string, burst bool) error {
	return f.note("FetchFile", id, burst)
}

func (f *fakeChat) PauseFile(_ context.Context, id string) error {
	return f.note("PauseFile", id)
}

func (f *fakeChat) SaveFile(_ context.Context, id, path string) error {
	return f.note("SaveFile", id, path)
}

func (f *fakeChat) CancelFile(_ context.Context, id string) error {
	return f.note("CancelFile", id)
}

func (f *fakeChat) AddMember(_ context.Context, group, contact string) error {
	return f.note("AddMember", group, contact)
}

func (f *fakeChat) RemoveMember(_ context.Context, group, contact string) error {
	return f.note("RemoveMember", group, contact)
}

func (f *fakeChat) RenameGroup(_ context.Context, group, name string) error {
	return f.note("RenameGroup", group, name)
}

func (f *fakeChat) LeaveGroup(_ context.Context, group string) error {
	return f.note("LeaveGroup", group)
}

func (f *fakeChat) Lock(context.Context) error {
	return f.note("Lock")
}

func (f *fakeChat) Wipe(context.Context) error {
	return f.note("Wipe")
}

// fakeHome is a home that may not exist yet.
type fakeHome struct {
	state    HomeState
	chat     *fakeChat
	err      error
	pass     string
	link     string
	restored string
	demo     string
}

func (h *fakeHome) State() HomeState { return h.state }

func (h *fakeHome) Open(_ context.Context, pass []byte, link string) (Chat, error) {
	h.pass, h.link = string(pass), link
	if h.err != nil {
		return nil, h.err
	}
	return h.chat, nil
}

func (h *fakeHome) Restore(_ context.Context, file string, _, _ []byte) error {
	h.restored = file
	return h.err
}

func (h *fakeHome) Demo(context.Context) (string, error) { return h.demo, h.err }
