package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// command is one slash command. The plain mode has the same ones.
type command struct {
	name string // with the slash
	args string // as the help shows them
	does string // lower case, at most 40 cells
	// what the arguments are, for completion: contact, group, file, topic, cover or
	// nothing
	completes string
	run       func(a *App, args string) tea.Cmd
}

// commandTable lists the slash commands.
func commandTable() []command {
	return []command{
		{"/invite", "[name]", "make a one-time invite", "", (*App).openInvite},
		{"/invites", "", "invites and addresses of yours", "", func(a *App, _ string) tea.Cmd { return a.openInvites() }},
		{"/accept", "LINK NAME", "add who sent you a link", "", (*App).acceptCommand},
		{"/requests", "", "strangers who ask to be contacts", "", func(a *App, _ string) tea.Cmd { return a.openRequests() }},
		{"/contact", "", "settings of this conversation", "", func(a *App, _ string) tea.Cmd { return a.openContact(a.current) }},
		{"/verify", "[name]", "compare safety numbers or words", "contact", (*App).verifyCommand},
		{"/why", "", "what became of the last message", "", func(a *App, _ string) tea.Cmd { return a.openWhyLast() }},
		{"/file", "PATH", "offer a file", "file", (*App).fileCommand},
		{"/files", "", "files of this conversation", "", func(a *App, _ string) tea.Cmd { return a.openFiles() }},
		{"/save", "[PATH]", "save the last file", "file", (*App).saveCommand},
		{"/search", "TEXT", "search all messages", "", (*App).openSearch},
		{"/group", "new|add|remove|rename|leave|list", "groups", "group", (*App).groupCommand},
		{"/rename", "NAME", "another name for this contact", "", (*App).renameCommand},
		{"/mute", "", "no notifications, or again", "", (*App).muteCommand},
		{"/pin", "", "keep on top, or no longer", "", (*App).pinCommand},
		{"/archive", "", "put away, or bring back", "", (*App).archiveCommand},
		{"/disappear", "off|1|7|28", "days until messages disappear", "", (*App).disappearCommand},
		{"/block", "[name]", "block, or unblock, a contact", "contact", (*App).blockCommand},
		{"/remove", "[name]", "remove a contact and all messages", "contact", (*App).removeCommand},
		{"/export", "PATH", "write this conversation to a file", "file", (*App).exportCommand},
		{"/network", "", "circuits, relays, guards", "", func(a *App, _ string) tea.Cmd { return a.openNetwork() }},
		{"/cover", "[PROFILE]", "traffic that hides when you talk", "cover", (*App).coverCommand},
		{"/consent", "", "use an old snapshot of the network", "", (*App).consentCommand},
		{"/settings", "", "what you can choose", "", func(a *App, _ string) tea.Cmd { return a.openSettings() }},
		{"/passphrase", "", "change the passphrase", "", func(a *App, _ string) tea.Cmd { return a.openPassphrase() }},
		{"/backup", "PATH", "one encrypted file with all of it", "file", (*App).backupCommand},
		{"/lock", "", "lock, on all terminals", "", func(a *App, _ string) tea.Cmd { return a.lock() }},
		{"/wipe", "", "destroy this profile for good", "", func(a *App, _ string) tea.Cmd { return a.openWipe() }},
		{"/doctor", "", "find out what is wrong", "", func(a *App, _ string) tea.Cmd { return a.openDoctor() }},
		{"/help", "[topic]", "keys, commands, signs", "topic", func(a *App, topic string) tea.Cmd { a.openHelp(topic); return nil }},
		{"/quit", "", "stop; queued messages stay on this disk", "", func(a *App, _ string) tea.Cmd { return a.quit() }},
	}
}

// command runs a slash command. An unknown one is never sent as text.
func (a *App) command(text string) tea.Cmd {
	name, rest, _ := strings.Cut(text, " ")
	for _, c := range commandTable() {
		if c.name == name {
			a.composer.clear()
			return c.run(a, strings.TrimSpace(rest))
		}
	}
	a.notice = unknownCommand(name)
	return nil
}

// unknownCommand says that there is no such command, and what may be meant.
func unknownCommand(name string) string {
	name, _, _ = strings.Cut(name, " ")
	var names []string
	for _, c := range commandTable() {
		names = append(names, c.name)
	}
	return "no command " + sanitizeLine(name) + didYouMean(name, names) + "; /help lists them, // sends a slash"
}

// coverCommand runs /cover: without a name it says what there is.
func (a *App) coverCommand(name string) tea.Cmd {
	if name == "" {
		a.notice = coverText(a.status.Cover)
		return nil
	}
	if !slices.Contains(chat.Covers(), name) {
		a.notice = "no cover profile is called " + sanitizeLine(name) + "; there are " + strings.Join(chat.Covers(), ", ")
		return nil
	}
	c := a.chat
	return a.do(nil, func(ctx context.Context) error { return c.SetCover(ctx, name) }, func(err error) tea.Cmd {
		if err != nil {
			a.notice = errorText(err)
			return nil
		}
		a.notice = fmt.Sprintf("cover is %s from now on, about %d MB a day", name, chat.CoverCost(name))
		return a.loadStatus()
	})
}

// coverText lists the profiles and what they cost.
func coverText(now string) string {
	var b strings.Builder
	for i, name := range chat.Covers() {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", name, chat.CoverCost(name))
	}
	if now == "" {
		return "cover, in MB a day: " + b.String()
	}
	return "cover is " + now + "; in MB a day: " + b.String()
}

// consentCommand runs /consent.
func (a *App) consentCommand(string) tea.Cmd {
	c := a.chat
	return a.do(nil, func(ctx context.Context) error { return c.Consent(ctx) }, func(err error) tea.Cmd {
		if err != nil {
			a.notice = errorText(err)
			return nil
		}
		a.notice = "the old snapshot is used until a newer one comes or you quit"
		return a.loadStatus()
	})
}
