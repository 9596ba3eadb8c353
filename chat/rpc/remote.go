package rpc

import (
	"context"
	"time"

	"hearsay/chat"
)

// params are the parameters of a request of ours.
type params map[string]any

// put adds a parameter that may be left out.
func (p params) put(name string, value any, given bool) params {
	if given {
		p[name] = value
	}
	return p
}

// statusTime bounds calls that have no context.
const statusTime = 5 * time.Second

// Status asks the daemon; one that is gone is offline.
func (c *Client) Status() chat.Status {
	ctx, cancel := context.WithTimeout(context.Background(), statusTime)
	defer cancel()
	var s statusShape
	if err := c.call(ctx, "status", params{}, &s); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		return chat.Status{Network: c.ready.Network, Lab: c.ready.Lab, Health: chat.Offline, Why: err.Error(), Encrypted: c.sealed}
	}
	status := s.status()
	c.mu.Lock()
	c.sealed = status.Encrypted
	c.mu.Unlock()
	return status
}

// Path is as for the messenger.
func (c *Client) Path(contact string) (chat.Path, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), statusTime)
	defer cancel()
	var p pathShape
	if c.call(ctx, "contact.path", params{"contact": contact}, &p) != nil || p.Mailbox == nil {
		return chat.Path{}, false
	}
	return chat.Path{Relays: p.Relays, Mailbox: *p.Mailbox, RTT: parseRTT(p.RTT), Open: p.Open}, true
}

// SetCover is as for the messenger, and so are all that follow.
func (c *Client) SetCover(ctx context.Context, name string) error {
	return c.call(ctx, "cover.set", params{"cover": name}, nil)
}

// StopDaemon ends the daemon; Gone says when it did.
func (c *Client) StopDaemon(ctx context.Context) error {
	return c.call(ctx, "daemon.stop", params{}, nil)
}

// Consent is as for the messenger.
func (c *Client) Consent(ctx context.Context) error { return c.call(ctx, "consent", params{}, nil) }

// CreateInvite is as for the messenger.
func (c *Client) CreateInvite(ctx context.Context, name string) (chat.Invite, error) {
	return c.CreateInviteOnce(ctx, name, "")
}

// CreateInviteOnce is as for the messenger.
func (c *Client) CreateInviteOnce(ctx context.Context, name, key string) (chat.Invite, error) {
	var i inviteShape
	if err := c.call(ctx, "invite.create", params{}.put("name", name, name != "").put("key", key, key != ""), &i); err != nil {
		return chat.Invite{}, err
	}
	i.Name = name
	return i.invite(), nil
}

// Invites is as for the messenger.
func (c *Client) Invites(ctx context.Context) ([]chat.Invite, error) {
	var r struct{ Invites []inviteShape }
	err := c.call(ctx, "invite.list", params{}, &r)
	return list(r.Invites, func(i inviteShape) chat.Invite { return i.invite() }), err
}

// RevokeInvite is as for the messenger.
func (c *Client) RevokeInvite(ctx context.Context, id string) error {
	return c.call(ctx, "invite.revoke", params{"id": id}, nil)
}

// AcceptInvite is as for the messenger.
func (c *Client) AcceptInvite(ctx context.Context, link, name string) (chat.Contact, error) {
	return c.newContact(ctx, "invite.accept", params{"link": link, "name": name})
}

// AskContact is as for the messenger.
func (c *Client) AskContact(ctx context.Context, link, name, as, text string) (chat.Contact, error) {
	return c.newContact(ctx, "invite.accept", params{"link": link, "name": name}.put("as", as, as != "").put("text", text, text != ""))
}

// newContact calls a method that makes a contact, and describes it.
func (c *Client) newContact(ctx context.Context, method string, p params) (chat.Contact, error) {
	var r contactIDShape
	if err := c.call(ctx, method, p, &r); err != nil {
		return chat.Contact{}, err
	}
	all, err := c.Contacts(ctx)
	for _, contact := range all {
		if contact.ID == r.Contact {
			return contact, nil
		}
	}
	return chat.Contact{ID: r.Contact}, err
}

// CreateAddress is as for the messenger.
func (c *Client) CreateAddress(ctx context.Context, label string) (a chat.Address, err error) {
	err = c.call(ctx, "address.create", params{}.put("label", label, label != ""), &a)
	return a, err
}

// Addresses is as for the messenger.
func (c *Client) Addresses(ctx context.Context) ([]chat.Address, error) {
	var r struct{ Addresses []chat.Address }
	err := c.call(ctx, "address.list", params{}, &r)
	return r.Addresses, err
}

// RevokeAddress is as for the messenger.
func (c *Client) RevokeAddress(ctx context.Context, id string) error {
	return c.call(ctx, "address.revoke", params{"id": id}, nil)
}

// Requests is as for the messenger.
func (c *Client) Requests(ctx context.Context) ([]chat.Request, error) {
	var r struct{ Requests []requestShape }
	err := c.call(ctx, "request.list", params{}, &r)
	return list(r.Requests, func(q requestShape) chat.Request { return q.request() }), err
}

// AcceptRequest is as for the messenger.
func (c *Client) AcceptRequest(ctx context.Context, id, name string) (chat.Contact, error) {
	return c.newContact(ctx, "request.accept", params{"id": id, "name": name})
}

// RejectRequest is as for the messenger.
func (c *Client) RejectRequest(ctx context.Context, id string, block bool) error {
	return c.call(ctx, "request.reject", params{"id": id, "block": block}, nil)
}

// Contacts is as for the messenger.
func (c *Client) Contacts(ctx context.Context) ([]chat.Contact, error) {
	var r struct{ Contacts []contactShape }
	err := c.call(ctx, "contact.list", params{}, &r)
	return list(r.Contacts, func(s contactShape) chat.Contact { return s.contact() }), err
}

// RenameContact is as for the messenger.
func (c *Client) RenameContact(ctx context.Context, contact, name string) error {
	return c.call(ctx, "contact.rename", params{"contact": contact, "name": name}, nil)
}

// BlockContact is as for the messenger.
func (c *Client) BlockContact(ctx context.Context, contact string) error {
	return c.call(ctx, "contact.block", params{"contact": contact}, nil)
}

// UnblockContact is as for the messenger.
func (c *Client) UnblockContact(ctx context.Context, contact string) error {
	return c.call(ctx, "contact.unblock", params{"contact": contact}, nil)
}

// RemoveContact is as for the messenger.
func (c *Client) RemoveContact(ctx context.Context, contact string) error {
	return c.call(ctx, "contact.remove", params{"contact": contact}, nil)
}

// VerifyContact is as for the messenger.
func (c *Client) VerifyContact(ctx context.Context, contact, number string) error {
	return c.call(ctx, "contact.verify", params{"contact": contact, "safety_number": number}, nil)
}

// CompareWords is as for the messenger.
func (c *Client) CompareWords(ctx context.Context, contact string) error {
	return c.call(ctx, "contact.sas", params{"contact": contact}, nil)
}

// VerifyWords is as for the messenger.
func (c *Client) VerifyWords(ctx context.Context, contact, words string) error {
	return c.call(ctx, "contact.verify", params{"contact": contact, "words": words}, nil)
}

// SetConversation is as for the messenger.
func (c *Client) SetConversation(ctx context.Context, contact string, change chat.ConversationChange) error {
	p := params{"contact": contact}.put("muted", change.Muted, change.Muted != nil).put("archived", change.Archived, change.Archived != nil)
	p.put("pinned", change.Pinned, change.Pinned != nil).put("draft", change.Draft, change.Draft != nil)
	if change.DisappearAfter != nil {
		p["disappear_after"] = int64(*change.DisappearAfter / time.Second)
	}
	return c.call(ctx, "conversation.set", p, nil)
}

// MarkDisplayed is as for the messenger.
func (c *Client) MarkDisplayed(ctx context.Context, contact string, upto uint64) error {
	return c.call(ctx, "conversation.displayed", params{"contact": contact, "upto": upto}, nil)
}

// StartSend is as for the messenger.
func (c *Client) StartSend(ctx context.Context, contact, text string, o chat.SendOptions) (wait func() (chat.Message, error)) {
	method, p := "message.send", params{"contact": contact, "text": text}
	if o.Reply != "" {
		method, p = "message.reply", params{"message": o.Reply, "text": text}
	}
	answered := c.start(ctx, method, p.put("key", o.Key, o.Key != ""))
	return func() (chat.Message, error) {
		var r idShape
		if err := answered(&r); err != nil {
			return chat.Message{}, err
		}
		number := chat.MessageNumber(r.ID)
		if list, err := c.Messages(ctx, contact, number-1, 1); err == nil && len(list) == 1 && list[0].ID == r.ID {
			return list[0], nil
		}
		return chat.Message{ID: r.ID, Contact: contact, Direction: chat.Out, Text: text, Seq: number, Time: time.Now(), State: chat.Queued}, nil
	}
}

// Send is as for the messenger.
func (c *Client) Send(ctx context.Context, contact, text string) (chat.Message, error) {
	return c.StartSend(ctx, contact, text, chat.SendOptions{})()
}

// Messages is as for the messenger.
func (c *Client) Messages(ctx context.Context, contact string, after uint64, limit int) ([]chat.Message, error) {
	if limit == 0 {
		limit = 100
	}
	limit = min(max(limit, 1), 1000)
	all := []chat.Message{}
	for len(all) < limit {
		page, more, err := c.page(ctx, "message.list", params{"contact": contact, "after": after, "limit": limit - len(all)})
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if !more || len(page) == 0 {
			break
		}
		after = page[len(page)-1].Seq
	}
	return all, nil
}

func (c *Client) page(ctx context.Context, method string, p params) (messages []chat.Message, more bool, err error) {
	var r struct {
		Messages []messageShape
		More     bool
	}
	err = c.call(ctx, method, p, &r)
	return list(r.Messages, func(m messageShape) chat.Message { return m.message() }), r.More, err
}

// Why is as for the messenger.
func (c *Client) Why(ctx context.Context, message string) (chat.Why, error) {
	var w whyShape
	err := c.call(ctx, "message.why", params{"id": message}, &w)
	return w.why(), err
}

// React is as for the messenger.
func (c *Client) React(ctx context.Context, message, emoji string) error {
	return c.call(ctx, "message.react", params{"message": message, "emoji": emoji}, nil)
}

// Edit is as for the messenger.
func (c *Client) Edit(ctx context.Context, message, text string) error {
	return c.call(ctx, "message.edit", params{"message": message, "text": text}, nil)
}

// Delete is as for the messenger.
func (c *Client) Delete(ctx context.Context, message string, both bool) error {
	whom := "me"
	if both {
		whom = "both"
	}
	return c.call(ctx, "message.delete", params{"message": message, "for": whom}, nil)
}

// Search is as for the messenger, but returns at most what fits into a line.
func (c *Client) Search(ctx context.Context, text, contact string, limit int) ([]chat.Message, error) {
	p := params{"text": text}.put("contact", contact, contact != "").put("limit", limit, limit > 0)
	found, _, err := c.page(ctx, "search", p)
	return found, err
}

// Export is as for the messenger.
func (c *Client) Export(ctx context.Context, contact, path string) (int, error) {
	var r struct{ Messages int }
	err := c.call(ctx, "export", params{"contact": contact, "path": path}, &r)
	return r.Messages, err
}

// SendFile is as for the messenger.
func (c *Client) SendFile(ctx context.Context, contact, path string, o chat.SendFileOptions) (chat.File, error) {
	var r idShape
	p := params{"contact": contact, "path": path, "burst": o.Burst}.put("key", o.Key, o.Key != "")
	if err := c.call(ctx, "file.send", p, &r); err != nil {
		return chat.File{}, err
	}
	all, err := c.Files(ctx, contact)
	for _, f := range all {
		if f.ID == r.ID {
			return f, nil
		}
	}
	return chat.File{ID: r.ID, Contact: contact}, err
}

// FetchFile is as for the messenger.
func (c *Client) FetchFile(ctx context.Context, id string, burst bool) error {
	return c.call(ctx, "file.fetch", params{"id": id, "burst": burst}, nil)
}

// SaveFile is as for the messenger.
func (c *Client) SaveFile(ctx context.Context, id, path string) error {
	return c.call(ctx, "file.save", params{"id": id, "path": path}, nil)
}

// CancelFile is as for the messenger.
func (c *Client) CancelFile(ctx context.Context, id string) error {
	return c.call(ctx, "file.cancel", params{"id": id}, nil)
}

// Files is as for the messenger.
func (c *Client) Files(ctx context.Context, contact string) ([]chat.File, error) {
	var r struct{ Files []fileShape }
	err := c.call(ctx, "file.list", params{}.put("contact", contact, contact != ""), &r)
	return list(r.Files, func(f fileShape) chat.File { return f.file() }), err
}

// CreateGroupOnce is as for the messenger.
func (c *Client) CreateGroupOnce(ctx context.Context, name string, contacts []string, key string) (chat.Group, error) {
	var r struct{ Group string }
	if err := c.call(ctx, "group.create", params{"name": name, "contacts": contacts}.put("key", key, key != ""), &r); err != nil {
		return chat.Group{}, err
	}
	all, err := c.Groups(ctx)
	for _, g := range all {
		if g.ID == r.Group {
			return g, nil
		}
	}
	return chat.Group{ID: r.Group, Name: name}, err
}

// AddMember is as for the messenger.
func (c *Client) AddMember(ctx context.Context, group, contact string) error {
	return c.call(ctx, "group.add", params{"group": group, "contact": contact}, nil)
}

// RemoveMember is as for the messenger.
func (c *Client) RemoveMember(ctx context.Context, group, contact string) error {
	return c.call(ctx, "group.remove", params{"group": group, "contact": contact}, nil)
}

// RenameGroup is as for the messenger.
func (c *Client) RenameGroup(ctx context.Context, group, name string) error {
	return c.call(ctx, "group.rename", params{"group": group, "name": name}, nil)
}

// LeaveGroup is as for the messenger.
func (c *Client) LeaveGroup(ctx context.Context, group string) error {
	return c.call(ctx, "group.leave", params{"group": group}, nil)
}

// Groups is as for the messenger.
func (c *Client) Groups(ctx context.Context) ([]chat.Group, error) {
	var r struct{ Groups []groupShape }
	err := c.call(ctx, "group.list", params{}, &r)
	return list(r.Groups, func(g groupShape) chat.Group { return g.group() }), err
}

// Lock locks the profile for everybody who is attached.
func (c *Client) Lock(ctx context.Context) error { return c.call(ctx, "profile.lock", params{}, nil) }

// Unlock is as for the messenger.
func (c *Client) Unlock(ctx context.Context, passphrase []byte) error {
	return c.call(ctx, "profile.unlock", params{"passphrase": string(passphrase)}, nil)
}

// ChangePassphrase is as for the messenger.
func (c *Client) ChangePassphrase(ctx context.Context, old, passphrase []byte) error {
	p := params{"new_passphrase": string(passphrase)}.put("passphrase", string(old), len(old) > 0)
	return c.call(ctx, "profile.passphrase", p, nil)
}

// Wipe is as for the messenger.
func (c *Client) Wipe(ctx context.Context) error {
	return c.call(ctx, "profile.wipe", params{"confirm": "wipe"}, nil)
}

// Backup is as for the messenger.
func (c *Client) Backup(ctx context.Context, path string, passphrase []byte, history bool) error {
	return c.call(ctx, "profile.backup", params{"path": path, "passphrase": string(passphrase), "history": history}, nil)
}

var _ Backend = (*Client)(nil)
