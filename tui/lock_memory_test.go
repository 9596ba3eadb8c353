package tui

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// holds walks through everything that a value leads to, and returns the path of the
// first text that holds one of the words; "": there is none.
func holds(v reflect.Value, path string, seen map[uintptr]bool, words []string) string {
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s, w) }) {
			return path + " = " + s
		}
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Kind() == reflect.Pointer && seen[v.Pointer()] {
			return ""
		}
		if v.Kind() == reflect.Pointer {
			seen[v.Pointer()] = true
		}
		return holds(v.Elem(), path, seen, words)
	case reflect.Struct:
		for i := range v.NumField() {
			switch name := v.Type().Field(i).Name; {
			case v.Type() == reflect.TypeFor[App]() && slices.Contains([]string{"ctx", "cfg", "home", "chat", "events", "keys"}, name): // not the screen's
			default:
				if found := holds(v.Field(i), path+"."+name, seen, words); found != "" {
					return found
				}
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice { // what was cut off lies behind the end
			v = v.Slice3(0, v.Cap(), v.Cap())
		}
		if v.Type().Elem().Kind() == reflect.Int32 { // runes of an input
			var s strings.Builder
			for i := range v.Len() {
				s.WriteRune(rune(v.Index(i).Int()))
			}
			return holds(reflect.ValueOf(s.String()), path, seen, words)
		}
		for i := range v.Len() {
			if found := holds(v.Index(i), path+"[]", seen, words); found != "" {
				return found
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			for _, x := range []reflect.Value{it.Key(), it.Value()} {
				if found := holds(x, path+"{}", seen, words); found != "" {
					return found
				}
			}
		}
	}
	return ""
}

// TestLockLeavesNothingInMemory: after a lock no field of the program leads to a name,
// a text, a path or a passphrase, whatever stood on the screen, and nothing that comes
// late brings any back.
func TestLockLeavesNothingInMemory(t *testing.T) {
	words := []string{"marta", "pick up", "street lamp", "otter", "fern", "half a thought", "yanked", "on its way", "secret", "HEARSAY:", "plum wren", "dora", "new name", "harbour"}
	f := sealed()
	f.requests = []chat.Request{{ID: "r_1", Name: "dora", Text: "dora here", Time: testNow}}
	f.contacts[0].SafetyNumber = "28471 90312"
	d := onMarta(t, f)
	a := d.a
	a.focused, a.prefs.Notify, a.prefs.NotifyContent = false, "osc", true
	for n := range 3 {
		d.msg(eventsMsg{events: []chat.Event{{Type: chat.MessageReceived, Message: &chat.Message{ID: "m_9", Contact: "c_1", Direction: chat.In, Text: "pick up soon", Seq: uint64(30 + n), Time: testNow}}}})
	}
	d.typeText("yanked")
	d.key("ctrl+u")
	d.typeText("on its way")
	held := []tea.Cmd{d.hold(keyPress("enter"))}
	d.typeText("half a thought")
	held = append(held, d.hold(refreshMsg{}), a.loadPeople(), a.openSearch("marta"), a.openRequests(), a.openNetwork(), a.openWhy("m_4", "street lamp"))
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ContactWords, Contact: &chat.Contact{ID: "c_1"}, Words: "otter plum wren fern"}}})
	held = append(held, a.openVerify(a.find("c_1")), a.openContact("c_1"), a.openAccept(f.invite.Link), a.showInvite(f.invite), a.openHistory())
	d.run(a.openPassphrase())
	d.typeText("secret")
	held = append(held, a.backupCommand("/home/marta/b"))
	d.typeText("secret")
	d.screen()
	if found := holds(reflect.ValueOf(a).Elem(), "App", map[uintptr]bool{}, words); found == "" {
		t.Fatal("nothing is there to be forgotten")
	}
	lock := d.hold(keyPress("f9"))
	d.typeText("another")
	d.screen()
	check := func(when string) {
		t.Helper()
		for found := holds(reflect.ValueOf(a).Elem(), "App", map[uintptr]bool{}, words); found != ""; found = "" {
			t.Errorf("%s: %s", when, found)
		}
		if s := d.screen(); strings.Contains(s, "marta") || strings.Contains(s, "pick") || a.title() != "hearsay" {
			t.Errorf("%s: on the screen:\n%s", when, s)
		}
	}
	check("after the key")
	for _, cmd := range held {
		d.run(cmd)
	}
	check("after what comes late")
	d.run(lock)
	d.msg(eventsMsg{events: []chat.Event{
		{Type: chat.MessageReceived, Message: &chat.Message{ID: "m_99", Contact: "c_1", Direction: chat.In, Text: "pick up now", Seq: 99}},
		{Type: chat.ContactWords, Contact: &chat.Contact{ID: "c_1", Name: "marta"}, Words: "plum wren"},
		{Type: chat.GuardChanged, Detail: "otter is gone"},
		{Type: chat.ErrorEvent, Detail: "marta failed"},
		{Type: chat.FileProgress, File: &chat.File{ID: "f_1", Contact: "c_1", Name: "marta.pdf"}},
	}})
	d.msg(notifyMsg{})
	d.msg(tea.PasteMsg{Content: f.invite.Link})
	d.key("ctrl+u")
	d.key("f1", "f3", "ctrl+k", "alt+n", "alt+r")
	a.first.form.forget(0)
	check("after events")
}
