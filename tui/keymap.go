package tui

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
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
	modeHistory  mode = "history"
	modePaste    mode = "paste"
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
	modeEmoji    mode = "emoji"
	modeDelete   mode = "delete"

	modeForm     mode = "form"
	modeIntro    mode = "welcome"
	modeLink     mode = "network link"
	modeStarting mode = "starting"
	modeFirst    mode = "first contact"
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
			{"cursor.up", []string{"up"}, "up; empty: select message"},
			{"cursor.down", []string{"down"}, "down"},
			{"palette", []string{"/"}, "on empty input: commands"},
			{"complete", []string{"tab"}, "complete a command"},
			{"history", []string{"ctrl+r"}, "what you sent before"},
			{"line.start", []string{"ctrl+a", "home"}, "start of the line"},
			{"line.end", []string{"ctrl+e", "end"}, "end of the line"},
			{"word.back", []string{"alt+b", "alt+left", "ctrl+left"}, "word back"},
			{"word.on", []string{"alt+f", "alt+right", "ctrl+right"}, "word on"},
			{"text.start", []string{"ctrl+home", "alt+<"}, "start of the text"},
			{"text.end", []string{"ctrl+end", "alt+>"}, "end of the text"},
			{"cursor.left", []string{"left", "ctrl+b"}, "left"},
			{"cursor.right", []string{"right", "ctrl+f"}, "right"},
			{"delete.back", []string{"backspace", "shift+backspace"}, "delete before the cursor"},
			{"delete.on", []string{"delete", "ctrl+d"}, "delete at the cursor"},
			{"kill.line", []string{"alt+k"}, "cut to the line's end"},
			{"kill.start", []string{"ctrl+u"}, "cut to the line's start"},
			{"kill.word", []string{"ctrl+w", "alt+backspace", "ctrl+backspace"}, "cut the word before"},
			{"kill.word.on", []string{"alt+d", "alt+delete", "ctrl+delete"}, "cut the word after"},
			{"yank", []string{"ctrl+y"}, "put back what was cut"},
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
			{"message.open", []string{"enter"}, "all of it, or what it answers"},
		}},
		{modeHelp, "help", helpKeys()},
		{modePalette, "commands", paletteKeys()},
		{modeSwitcher, "switch", switcherKeys()},
		{modeHistory, "sent before", historyKeys()},
		{modePaste, "paste", pasteKeys()},
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
		{modeEmoji, "react", emojiKeys()},
		{modeDelete, "delete", deleteKeys()},
		{modeForm, "fields to fill in", formKeys()},
		{modeIntro, "first run: welcome", introKeys()},
		{modeLink, "first run: network", linkKeys()},
		{modeStarting, "first run: starting", startingKeys()},
		{modeFirst, "first run: first contact", firstKeys()},
	}
}

// keys is the key table in force: the defaults with what the person bound
// otherwise. It is read only after newKeys.
type keys struct {
	groups []group
	acts   map[mode]map[string]action
	bound  map[action][]string
}

// sameKeys cannot be told apart by terminals that speak the old way: they mean
// the same everywhere, and are not bound.
var sameKeys = map[string]string{"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+h": "backspace", "ctrl+[": "esc"}

// typingModes are those in which text is typed: a key that writes a character
// cannot be bound there.
var typingModes = []mode{modeEverywhere, modeMoving, modePanels, modeComposer, modePalette, modeSwitcher, modeHistory, modeSearch, modeAccept, modeForm}

// conversationModes share their keys: all of them are in force at once.
var conversationModes = []mode{modeEverywhere, modeMoving, modePanels, modeComposer}

// newKeys returns the table with overrides, which maps names of actions to keys.
// It fails if an action does not exist, a key cannot be bound, or two actions that
// are in force together share a key.
func newKeys(overrides map[string][]string) (*keys, error) {
	k := &keys{groups: keyTable(), acts: map[mode]map[string]action{}, bound: map[action][]string{}}
	for gi := range k.groups {
		g := &k.groups[gi]
		for bi := range g.bindings {
			b := &g.bindings[bi]
			to, ok := overrides[string(b.act)]
			if !ok {
				continue
			}
			keys, err := checkBinding(g.mode, b.act, to)
			if err != nil {
				return nil, err
			}
			b.keys = keys
		}
		acts := map[string]action{}
		for _, b := range g.bindings {
			k.bound[b.act] = b.keys
			for _, key := range b.keys {
				if other, taken := acts[key]; taken {
					return nil, sharedKey(key, other, b.act)
				}
				acts[key] = b.act
			}
		}
		k.acts[g.mode] = acts
	}
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		if _, ok := k.bound[action(name)]; !ok {
			return nil, fmt.Errorf("no action is called %q%s", name, didYouMean(name, k.actions()))
		}
	}
	return k, k.checkTogether()
}

// checkTogether finds keys that two modes would act on at once.
func (k *keys) checkTogether() error {
	seen := map[string]action{}
	for _, m := range conversationModes {
		for _, key := range slices.Sorted(maps.Keys(k.acts[m])) {
			if other, taken := seen[key]; taken {
				return sharedKey(key, other, k.acts[m][key])
			}
			seen[key] = k.acts[m][key]
		}
	}
	for _, g := range k.groups {
		for _, key := range slices.Sorted(maps.Keys(k.acts[g.mode])) {
			if act, taken := k.acts[modeEverywhere][key]; taken && g.mode != modeEverywhere {
				return sharedKey(key, act, k.acts[g.mode][key])
			}
		}
	}
	return nil
}

func sharedKey(key string, one, other action) error {
	return fmt.Errorf("%q is bound to both %q and %q", key, one, other)
}

// checkBinding returns the keys of an override as terminals name them.
func checkBinding(m mode, act action, to []string) ([]string, error) {
	if len(to) == 0 {
		return nil, fmt.Errorf("no key is given for %q", act)
	}
	var out []string
	for _, name := range to {
		key, err := canonicalKey(name)
		switch {
		case err != nil:
			return nil, err
		case sameKeys[key] != "":
			return nil, fmt.Errorf("%q cannot be bound: terminals do not tell it from %s", key, sameKeys[key])
		case strings.HasPrefix(key, "ctrl+") && strings.Contains(key, "shift+"):
			return nil, fmt.Errorf("%q cannot be bound: terminals do not tell ctrl+shift from ctrl", key)
		case key == "esc" && act != "close":
			return nil, fmt.Errorf("%q cannot be bound to %q: it closes the top thing, always", key, act)
		case writes(key) && slices.Contains(typingModes, m) && act != "palette":
			return nil, fmt.Errorf("%q cannot be bound to %q: it could not be typed any more", key, act)
		case !writes(key) && act == "palette":
			return nil, fmt.Errorf("%q cannot be bound to %q: commands begin with what is typed", key, act)
		}
		out = append(out, key)
	}
	if act == "close" && !slices.Contains(out, "esc") {
		out = append(out, "esc")
	}
	return out, nil
}

// writes tells whether a key writes a character where text is typed.
func writes(key string) bool { return key == "space" || utf8.RuneCountInString(key) == 1 }

// namedKeys are the keys that have a name instead of a character, with other
// spellings that people use.
var namedKeys = map[string]string{
	"enter": "enter", "return": "enter", "tab": "tab", "backspace": "backspace", "esc": "esc", "escape": "esc", "space": "space",
	"up": "up", "down": "down", "left": "left", "right": "right", "home": "home", "end": "end", "insert": "insert",
	"delete": "delete", "del": "delete", "pgup": "pgup", "pageup": "pgup", "pgdown": "pgdown", "pgdn": "pgdown", "pagedown": "pgdown",
}

// canonicalKey returns the name of a key as terminals' events have it: modifiers
// in the order ctrl, alt, shift, then the key.
func canonicalKey(name string) (string, error) {
	bad := fmt.Errorf("no key is called %q; keys are written like f5, alt+x, ctrl+pgup or shift+enter", name)
	rest := strings.TrimSpace(name)
	mods := map[string]bool{}
	for {
		mod, after, found := strings.Cut(rest, "+")
		mod = strings.ToLower(mod)
		if !found || after == "" || mod != "ctrl" && mod != "alt" && mod != "shift" {
			break
		}
		if mods[mod] {
			return "", bad
		}
		mods[mod], rest = true, after
	}
	base := rest
	switch r, size := utf8.DecodeRuneInString(rest); {
	case size == len(rest) && size > 0 && r != utf8.RuneError && unicode.IsGraphic(r) && r != ' ':
		if unicode.IsUpper(r) && len(mods) > 0 {
			base = string(unicode.ToLower(r))
			mods["shift"] = mods["shift"] || !mods["ctrl"] // ctrl+X is how many write ctrl+x
		}
		if mods["shift"] && len(mods) == 1 {
			if !unicode.IsLetter(r) {
				return "", bad // what shift makes of it depends on the keyboard
			}
			delete(mods, "shift")
			base = string(unicode.ToUpper(r))
		}
	case namedKeys[strings.ToLower(rest)] != "":
		base = namedKeys[strings.ToLower(rest)]
	default:
		base = strings.ToLower(rest)
		n, err := strconv.Atoi(strings.TrimPrefix(base, "f"))
		if err != nil || base != fmt.Sprintf("f%d", n) || n < 1 || n > 20 {
			return "", bad
		}
	}
	key := ""
	for _, mod := range []string{"ctrl", "alt", "shift"} {
		if mods[mod] {
			key += mod + "+"
		}
	}
	return key + base, nil
}

// byLayout names a key by the layout of the keyboard, as far as that has Latin
// letters: terminals that tell the place of a key as well would have ctrl+a be
// ctrl+q on a French keyboard. A Cyrillic one has no other way to ctrl+a.
func byLayout(k tea.KeyPressMsg) tea.KeyPressMsg {
	if k.Code <= unicode.MaxLatin1 {
		k.BaseCode = 0
	}
	return k
}

// find returns what a key does in a mode, or "".
func (k *keys) find(m mode, key string) action {
	if same, ok := sameKeys[key]; ok {
		key = same
	}
	return k.acts[m][key]
}

// of returns the first key of an action, as screens name it.
func (k *keys) of(act action) string {
	if keys := k.bound[act]; len(keys) > 0 {
		return keyName(keys[0])
	}
	return ""
}

// allOf returns all keys of an action, as screens name them.
func (k *keys) allOf(act action) string {
	var names []string
	for _, key := range k.bound[act] {
		names = append(names, keyName(key))
	}
	return strings.Join(names, " ")
}

// keyName is how screens write a key: F-keys as they are printed on keyboards.
func keyName(key string) string {
	i := strings.LastIndex(key, "+") + 1
	if base := key[i:]; len(base) > 1 && base[0] == 'f' {
		return key[:i] + "F" + base[1:]
	}
	return key
}

// index returns which of its keys an action was called by, or -1.
func (k *keys) index(act action, key string) int { return slices.Index(k.bound[act], key) }

// actions returns the names of all actions.
func (k *keys) actions() []string {
	var names []string
	for act := range k.bound {
		names = append(names, string(act))
	}
	slices.Sort(names)
	return names
}
