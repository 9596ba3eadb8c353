package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"hearsay/chat"
)

// maxPassphrase bounds what is read from a passphrase file, bytes.
const maxPassphrase = 4096

// work is what a request does once its parameters are read.
type work func(context.Context) (any, error)

// nothing is the result of what only succeeds or fails.
func nothing(run func(ctx context.Context) error) work {
	return func(ctx context.Context) (any, error) { return struct{}{}, run(ctx) }
}

type idShape struct {
	ID string `json:"id"`
}

type contactIDShape struct {
	Contact string `json:"contact"`
}

// prepare reads the parameters of a request and returns the work to do.
func (s *server) prepare(req request) (work, *answerError) {
	args := &arguments{params: req.params}
	for _, part := range []func(string, *arguments) work{
		s.networkMethod, s.viewMethod, s.inviteMethod, s.contactMethod, s.messageMethod, s.fileMethod, s.groupMethod, s.profileMethod,
	} {
		if call := part(req.method, args); call != nil {
			return call, args.done()
		}
	}
	return nil, refuse(codeMethod, "unknown method")
}

func (s *server) networkMethod(method string, args *arguments) work {
	b := s.backend
	switch method {
	case "status":
		return func(context.Context) (any, error) { return shapeStatus(b.Status()), nil }
	case "consent":
		return nothing(b.Consent)
	case "cover.set":
		cover := args.text("cover", true)
		return nothing(func(ctx context.Context) error { return b.SetCover(ctx, cover) })
	case "daemon.stop":
		if s.stop == nil {
			return nil
		}
		return func(context.Context) (any, error) { s.stop(); return struct{}{}, nil }
	case "contact.path":
		contact := args.text("contact", true)
		return func(context.Context) (any, error) { return shapeServed(b.Path(contact)), nil }
	}
	return nil
}

func (s *server) inviteMethod(method string, args *arguments) work {
	b := s.backend
	switch method {
	case "invite.create":
		name, key := args.text("name", false), args.key()
		return func(ctx context.Context) (any, error) {
			i, err := b.CreateInviteOnce(ctx, name, key)
			return shapeInvite(i, false), err
		}
	case "invite.list":
		return func(ctx context.Context) (any, error) {
			l, err := b.Invites(ctx)
			return struct {
				Invites []inviteShape `json:"invites"`
			}{list(l, func(i chat.Invite) inviteShape { return shapeInvite(i, true) })}, err
		}
	case "invite.revoke":
		id := args.text("id", true)
		return nothing(func(ctx context.Context) error { return b.RevokeInvite(ctx, id) })
	case "invite.accept":
		link, name := args.text("link", true), args.text("name", true)
		as, text := args.text("as", false), args.text("text", false)
		return func(ctx context.Context) (any, error) {
			c, err := b.AskContact(ctx, link, name, as, text)
			return contactIDShape{c.ID}, err
		}
	case "address.create":
		label := args.text("label", false)
		return func(ctx context.Context) (any, error) { return b.CreateAddress(ctx, label) }
	case "address.list":
		return func(ctx context.Context) (any, error) {
			l, err := b.Addresses(ctx)
			return struct {
				Addresses []chat.Address `json:"addresses"`
			}{list(l, func(a chat.Address) chat.Address { return a })}, err
		}
	case "address.revoke":
		id := args.text("id", true)
		return nothing(func(ctx context.Context) error { return b.RevokeAddress(ctx, id) })
	case "request.list":
		return func(ctx context.Context) (any, error) {
			l, err := b.Requests(ctx)
			return struct {
				Requests []requestShape `json:"requests"`
			}{list(l, shapeRequest)}, err
		}
	case "request.accept":
		id, name := args.text("id", true), args.text("name", true)
		return func(ctx context.Context) (any, error) {
			c, err := b.AcceptRequest(ctx, id, name)
			return contactIDShape{c.ID}, err
		}
	case "request.reject":
		id, block := args.text("id", true), args.flag("block", false)
		return nothing(func(ctx context.Context) error { return b.RejectRequest(ctx, id, block) })
	}
	return nil
}

func (s *server) contactMethod(method string, args *arguments) work {
	b := s.backend
	if method == "contact.list" {
		return func(ctx context.Context) (any, error) {
			l, err := b.Contacts(ctx)
			return struct {
				Contacts []contactShape `json:"contacts"`
			}{list(l, shapeContact)}, err
		}
	}
	simple := map[string]func(context.Context, string) error{
		"contact.block": b.BlockContact, "contact.unblock": b.UnblockContact, "contact.remove": b.RemoveContact, "contact.sas": b.CompareWords,
	}
	if run := simple[method]; run != nil {
		contact := args.text("contact", true)
		return nothing(func(ctx context.Context) error { return run(ctx, contact) })
	}
	switch method {
	case "contact.rename":
		contact, name := args.text("contact", true), args.text("name", true)
		return nothing(func(ctx context.Context) error { return b.RenameContact(ctx, contact, name) })
	case "contact.verify":
		contact, number, words := args.text("contact", true), args.text("safety_number", false), args.text("words", false)
		args.oneOf("safety_number", "words")
		return func(ctx context.Context) (any, error) {
			err := error(nil)
			if words != "" {
				err = b.VerifyWords(ctx, contact, words)
			} else {
				err = b.VerifyContact(ctx, contact, number)
			}
			return struct {
				Verified bool `json:"verified"`
			}{err == nil}, err
		}
	case "conversation.displayed":
		contact := args.text("contact", true)
		upto := args.count("upto")
		return nothing(func(ctx context.Context) error { return b.MarkDisplayed(ctx, contact, upto) })
	case "conversation.set":
		contact := args.text("contact", true)
		var seconds *uint64
		var change chat.ConversationChange
		args.read("disappear_after", false, &seconds)
		args.read("muted", false, &change.Muted)
		args.read("archived", false, &change.Archived)
		args.read("pinned", false, &change.Pinned)
		args.read("draft", false, &change.Draft)
		if seconds != nil {
			if *seconds > 1<<31 {
				args.refuse("disappear_after is 0 or 1, 7 or 28 days, in seconds")
			}
			d := time.Duration(*seconds) * time.Second
			change.DisappearAfter = &d
		}
		return nothing(func(ctx context.Context) error { return b.SetConversation(ctx, contact, change) })
	}
	return nil
}

func (s *server) messageMethod(method string, args *arguments) work {
	b := s.backend
	switch method {
	case "message.list":
		contact := args.text("contact", true)
		after := args.number("after", 0, 1<<63-1, 0)
		before := args.number("before", 0, 1<<63-1, 0)
		limit := args.number("limit", 1, 1000, 100)
		if after > 0 && before > 0 {
			args.refuse("after and before exclude each other")
		}
		if before > 0 {
			return func(ctx context.Context) (any, error) {
				return shapePageBefore(b.MessagesBefore(ctx, contact, before, int(limit)))
			}
		}
		return func(ctx context.Context) (any, error) { return shapePage(b.Messages(ctx, contact, after, int(limit))) }
	case "message.why":
		id := args.text("id", true)
		return func(ctx context.Context) (any, error) {
			w, err := b.Why(ctx, id)
			return shapeWhy(w), err
		}
	case "message.react":
		message, emoji := args.text("message", true), args.text("emoji", true)
		return nothing(func(ctx context.Context) error { return b.React(ctx, message, emoji) })
	case "message.edit":
		message, text := args.text("message", true), args.text("text", true)
		return nothing(func(ctx context.Context) error { return b.Edit(ctx, message, text) })
	case "message.delete":
		message, whom := args.text("message", true), args.text("for", true)
		if whom != "me" && whom != "both" {
			args.refuse("for is me or both")
		}
		return nothing(func(ctx context.Context) error { return b.Delete(ctx, message, whom == "both") })
	case "search":
		text, contact := args.text("text", true), args.text("contact", false)
		limit := args.number("limit", 1, 1000, 100)
		return func(ctx context.Context) (any, error) { return shapePage(b.Search(ctx, text, contact, int(limit))) }
	case "export":
		contact, path := args.text("contact", true), args.path("path")
		return func(ctx context.Context) (any, error) {
			n, err := b.Export(ctx, contact, path)
			return struct {
				Messages int `json:"messages"`
			}{n}, err
		}
	}
	return nil
}

func (s *server) fileMethod(method string, args *arguments) work {
	b := s.backend
	switch method {
	case "file.send":
		contact, path := args.text("contact", true), args.path("path")
		o := chat.SendFileOptions{Key: args.key(), Burst: args.flag("burst", false)}
		return func(ctx context.Context) (any, error) {
			f, err := b.SendFile(ctx, contact, path, o)
			return idShape{f.ID}, err
		}
	case "file.fetch":
		id, burst := args.text("id", true), args.flag("burst", false)
		return nothing(func(ctx context.Context) error { return b.FetchFile(ctx, id, burst) })
	case "file.save":
		id, path := args.text("id", true), args.path("path")
		return nothing(func(ctx context.Context) error { return b.SaveFile(ctx, id, path) })
	case "file.pause":
		id := args.text("id", true)
		return nothing(func(ctx context.Context) error { return b.PauseFile(ctx, id) })
	case "file.cancel":
		id := args.text("id", true)
		return nothing(func(ctx context.Context) error { return b.CancelFile(ctx, id) })
	case "file.list":
		contact := args.text("contact", false)
		return func(ctx context.Context) (any, error) {
			l, err := b.Files(ctx, contact)
			return struct {
				Files []fileShape `json:"files"`
			}{list(l, shapeFile)}, err
		}
	}
	return nil
}

func (s *server) groupMethod(method string, args *arguments) work {
	b := s.backend
	switch method {
	case "group.create":
		name := args.text("name", true)
		var contacts []string
		args.read("contacts", true, &contacts)
		key := args.key()
		return func(ctx context.Context) (any, error) {
			g, err := b.CreateGroupOnce(ctx, name, contacts, key)
			return struct {
				Group string `json:"group"`
			}{g.ID}, err
		}
	case "group.add", "group.remove":
		group, contact := args.text("group", true), args.text("contact", true)
		change := b.AddMember
		if method == "group.remove" {
			change = b.RemoveMember
		}
		return nothing(func(ctx context.Context) error { return change(ctx, group, contact) })
	case "group.rename":
		group, name := args.text("group", true), args.text("name", true)
		return nothing(func(ctx context.Context) error { return b.RenameGroup(ctx, group, name) })
	case "group.leave":
		group := args.text("group", true)
		return nothing(func(ctx context.Context) error { return b.LeaveGroup(ctx, group) })
	case "group.list":
		return func(ctx context.Context) (any, error) {
			l, err := b.Groups(ctx)
			return struct {
				Groups []groupShape `json:"groups"`
			}{list(l, shapeGroup)}, err
		}
	}
	return nil
}

func (s *server) profileMethod(method string, args *arguments) work {
	b := s.backend
	switch method {
	case "profile.lock":
		return nothing(b.Lock)
	case "profile.unlock":
		secret := args.secret("passphrase", true)
		return nothing(func(ctx context.Context) error {
			return secret(func(p []byte) error { return b.Unlock(ctx, p) })
		})
	case "profile.passphrase":
		old, fresh := args.secret("passphrase", false), args.secret("new_passphrase", true)
		return nothing(func(ctx context.Context) error {
			return old(func(o []byte) error { return fresh(func(n []byte) error { return b.ChangePassphrase(ctx, o, n) }) })
		})
	case "profile.backup":
		path, secret, history := args.path("path"), args.secret("passphrase", true), args.flag("history", true)
		return nothing(func(ctx context.Context) error {
			return secret(func(p []byte) error { return b.Backup(ctx, path, p, history) })
		})
	case "profile.wipe":
		if args.text("confirm", true) != "wipe" {
			args.refuse("confirm must be wipe")
		}
		return nothing(b.Wipe)
	}
	return nil
}

// secret reads a passphrase: the parameter itself, or name with _file, a file
// that holds it. The function that it returns lends the passphrase and erases it.
func (a *arguments) secret(name string, required bool) func(use func([]byte) error) error {
	text, path := a.text(name, false), ""
	_, asText := a.params[name]
	_, asFile := a.params[name+"_file"]
	if asFile {
		path = a.path(name + "_file")
	}
	if asText && asFile || required && !asText && !asFile {
		a.refuse("give one of " + name + "_file and " + name)
	}
	return func(use func([]byte) error) error {
		secret := []byte(text)
		if path != "" {
			var err error
			if secret, err = readSecret(path); err != nil {
				return err
			}
		}
		defer clear(secret)
		return use(secret)
	}
}

func readSecret(path string) ([]byte, error) {
	bad := func(text string) error {
		return &chat.Error{Kind: chat.KindRefused, Text: text, Hint: "give a file with the passphrase in one line"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bad("cannot open the passphrase file")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return nil, bad("cannot read the passphrase file")
	}
	if b = bytes.TrimRight(b, "\r\n"); len(b) == 0 || len(b) > maxPassphrase {
		return nil, bad("a passphrase file holds one line of 1 to 4096 bytes")
	}
	return b, nil
}

// count reads a number that must be there.
func (a *arguments) count(name string) (n uint64) {
	a.read(name, true, &n)
	return n
}

func (a *arguments) flag(name string, otherwise bool) bool {
	b := otherwise
	a.read(name, false, &b)
	return b
}

// path reads the path of a file. It must be absolute: who asks may sit in
// another directory than the program that answers.
func (a *arguments) path(name string) string {
	p := a.text(name, true)
	if a.err == nil && !filepath.IsAbs(p) {
		a.refuse(name + " must be an absolute path")
	}
	return p
}

// key reads an idempotency key.
func (a *arguments) key() string {
	k := a.text("key", false)
	if _, given := a.params["key"]; given && k == "" {
		a.refuse("key is empty")
	}
	return k
}

// oneOf refuses all but exactly one of several parameters.
func (a *arguments) oneOf(names ...string) {
	n := 0
	for _, name := range names {
		if raw, ok := a.params[name]; ok && string(raw) != `""` {
			n++
		}
	}
	if n != 1 {
		a.refuse("give one of safety_number and words")
	}
}

func (a *arguments) refuse(text string) {
	if a.err == nil {
		a.err = refuse(codeParams, "%s", text)
	}
}

// failure turns an error of the backend into the error of an answer.
func failure(err error) *answerError {
	if err == nil {
		return nil
	}
	var e *chat.Error
	if errors.As(err, &e) {
		return &answerError{Code: codeFailed, Message: chat.PlainError(e), Data: &errorData{e.Kind, e.Hint}}
	}
	if errors.Is(err, chat.ErrPassphrase) {
		return &answerError{Code: codeFailed, Message: "the passphrase is wrong", Data: &errorData{Kind: chat.KindRefused, Hint: "there is no recovery"}}
	}
	if errors.Is(err, context.Canceled) {
		return &answerError{Code: codeFailed, Message: "stopped by shutdown", Data: &errorData{Kind: chat.KindIO}}
	}
	return &answerError{Code: codeFailed, Message: chat.PlainError(err), Data: &errorData{Kind: chat.KindOf(err)}}
}
