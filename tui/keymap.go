package tui

import (
	"fmt"
	"slices"
	"strings"
)

// mode says where a key works: everywhere, on the conversation screen, or in one
// kind of dialog.
type mode string

// The modes. Those of the conversation screen are looked up in this order:
// modeEverywhere, then modeMessage while a message is selected, then modeMoving,
// modePanels and modeComposer.
const (
	modeEverywhere mode = "everywhere"
	modeMoving     mode = "moving"
	modePanels     mode = "panels"
	modeComposer   mode = "composer"
	modeMessage    mode = "message"

	modeHelp     mode = "help"
	modePalette  mode = "palette"
	modeSwitcher mode = "switcher"
	modeInvite   mode = "invite"
	modeInvites  mode = "invites"
	modeAccept   mode = "accept"
	modeRequests mode = "requests"
	modeVerify   mode = "verify"
	modeContact  mode = "contact"
	modeGroup    mode = "group"
	modeFile     mode = "file"
	modeFiles    mode = "files"
	modeSearch   mode = "search"
	modeNetwork  mode = "network"
	modeWhy      mode = "why"
	modeSettings mode = "settings"
	modeDoctor   mode = "doctor"
	modeConfirm  mode = "confirm"
)

// action is the name of what a key does, as people write it in their
// configuration to bind it to other keys. Names are unique over all modes.
type action string

// binding gives an action its keys. The first key is the one that screens name.
type binding struct {
	act  action
	keys []string
	does string // for the help, lower case, at most 30 cells
}

// group is the part of the key table that belongs to one mode.
type group struct {
	mode     mode
	title    string
	bindings []binding
}

// keyTable lists every key of the program, with its default.
func keyTable() []group {
	return []group{
		{modeEverywhere, "everywhere", []binding{
			{"help", []string{"f1"}, "help"},
			{"network", []string{"f3"}, "network view"},
			{"lock", []string{"f9"}, "lock, on all terminals"},
			{"switch", []string{"ctrl+k"}, "switch contact"},
			{"redraw", []string{"ctrl+l"}, "draw the screen again"},
			{"close", []string{"esc"}, "close the top thing"},
			{"clear", []string{"ctrl+c"}, "clear input; twice quits"},
		}},
		{modeMoving, "moving", []binding{
			{"contact.next", []string{"ctrl+n"}, "next contact"},
			{"contact.previous", []string{"ctrl+p"}, "previous contact"},
			{"contact.number", []string{"alt+1", "alt+2", "alt+3", "alt+4", "alt+5", "alt+6", "alt+7", "alt+8", "alt+9"}, "contact by number"},
			{"contact.unread", []string{"alt+a"}, "next unread"},
			{"contact.last", []string{"alt+s"}, "last contact"},
			{"contacts.hide", []string{"f7"}, "hide or show contacts"},
			{"contacts.filter", []string{"alt+f7"}, "filter contacts"},
			{"first.unread", []string{"alt+u"}, "first unread message"},
			{"scroll.back", []string{"pgup"}, "scroll back"},
			{"scroll.on", []string{"pgdown"}, "scroll on"},
			{"scroll.first", []string{"alt+home"}, "first message"},
			{"scroll.last", []string{"alt+end"}, "last message"},
		}},
		{modePanels, "panels", []binding{
			{"info", []string{"alt+i"}, "about this contact or group"},
			{"invite", []string{"alt+n"}, "invite a contact"},
			{"search", []string{"alt+/"}, "search messages"},
			{"bare", []string{"alt+l"}, "no borders, for selecting"},
			{"requests", []string{"alt+r"}, "requests of strangers"},
		}},
		{modeComposer, "composer", []binding{
			{"send", []string{"enter"}, "send"},
			{"newline", []string{"ctrl+j", "alt+enter", "shift+enter"}, "new line"},
			{"select", []string{"up"}, "on empty input: select message"},
			{"palette", []string{"/"}, "on empty input: commands"},
			{"complete", []string{"tab"}, "complete a command"},
			{"history", []string{"ctrl+r"}, "what you sent before"},
			{"kill.line", []string{"alt+k"}, "clear this line"},
		}},
		{modeMessage, "selected message", []binding{
			{"message.up", []string{"k", "up"}, "message above"},
			{"message.down", []string{"j", "down"}, "message below"},
			{"message.why", []string{"w"}, "why: its history"},
			{"message.retry", []string{"r"}, "retry now"},
			{"message.reply", []string{"q"}, "reply, quoting it"},
			{"message.edit", []string{"e"}, "edit"},
			{"message.react", []string{"+"}, "react"},
			{"message.copy", []string{"y"}, "copy to the clipboard"},
			{"message.delete", []string{"d"}, "delete"},
			{"message.save", []string{"s"}, "fetch or save the file"},
			{"message.pause", []string{"p"}, "pause or go on with the file"},
			{"message.stop", []string{"x"}, "stop or discard the file"},
			{"message.open", []string{"enter"}, "go to what it replies to"},
		}},
		{modeHelp, "help", helpKeys()},
		{modePalette, "commands", paletteKeys()},
		{modeSwitcher, "switch", switcherKeys()},
		{modeInvite, "invite", inviteKeys()},
		{modeInvites, "invites and addresses", invitesKeys()},
		{modeAccept, "accept", acceptKeys()},
		{modeRequests, "requests", requestKeys()},
		{modeVerify, "verify", verifyKeys()},
		{modeContact, "contact", contactKeys()},
		{modeGroup, "group", groupKeys()},
		{modeFile, "file", fileKeys()},
		{modeFiles, "files", filesKeys()},
		{modeSearch, "search", searchKeys()},
		{modeNetwork, "network", networkKeys()},
		{modeWhy, "why", whyKeys()},
		{modeSettings, "settings", settingsKeys()},
		{modeDoctor, "doctor", doctorKeys()},
		{modeConfirm, "question", confirmKeys()},
	}
}

// keys is the key table in force: the defaults with what the person bound
// otherwise. It is read only after NewKeys.
type keys struct {
	groups []group
	acts   map[mode]map[string]action
}

// forbiddenKeys cannot be told from tab, enter, backspace and escape.
var forbiddenKeys = []string{"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+["}

// newKeys returns the table with overrides, which maps names of actions to keys.
// It fails if an action does not exist, a key cannot be bound, or two actions of
// one mode share a key.
func newKeys(overrides map[string][]string) (*keys, error) {
	k := &keys{groups: keyTable(), acts: map[mode]map[string]action{}}
	left := map[string]bool{}
	for name := range overrides {
		left[name] = true
	}
	for gi := range k.groups {
		g := &k.groups[gi]
		for bi := range g.bindings {
			b := &g.bindings[bi]
			if to, ok := overrides[string(b.act)]; ok {
				delete(left, string(b.act))
				if len(to) == 0 {
					return nil, fmt.Errorf("no key is given for %q", b.act)
				}
				b.keys = to
			}
		}
		acts := map[string]action{}
		for _, b := range g.bindings {
			for _, key := range b.keys {
				key = strings.ToLower(key)
				if slices.Contains(forbiddenKeys, key) {
					return nil, fmt.Errorf("%q cannot be bound: terminals do not tell it from tab, enter, backspace or escape", key)
				}
				if other, taken := acts[key]; taken {
					return nil, fmt.Errorf("%q is bound to both %q and %q", key, other, b.act)
				}
				acts[key] = b.act
			}
		}
		k.acts[g.mode] = acts
	}
	for name := range left {
		return nil, fmt.Errorf("no action is called %q", name)
	}
	return k, nil
}

// find returns what a key does in a mode, or "".
func (k *keys) find(m mode, key string) action { return k.acts[m][key] }

// of returns the first key of an action, as screens name it.
func (k *keys) of(act action) string {
	for _, g := range k.groups {
		for _, b := range g.bindings {
			if b.act == act {
				return b.keys[0]
			}
		}
	}
	return ""
}
