package tui

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

const crowdNumber = "28471 90312 55817 60021 77340 19284 03391 48820 71156 92003 61847 30975"

func verifying(t *testing.T, name string) (*driver, *fakeChat) {
	t.Helper()
	f := newFake()
	crowd(f)
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("/verify " + name)
	d.key("enter")
	d.has("Verify " + name)
	return d, f
}

func TestVerifyByNumber(t *testing.T) {
	d, f := verifying(t, "press-desk")
	d.has("28471 90312 55817 60021 77340 19284")
	d.key("y")
	if !f.called("VerifyContact c_3 " + crowdNumber) {
		t.Errorf("calls %q", f.calls)
	}
	d.has("press-desk is verified")
	if d.a.top() != nil {
		t.Error("the dialog stays open")
	}
}

// TestYesConfirmsOnlyWhatIsShown changes the key while its number is compared: the
// old number goes from the screen, and a yes never confirms the new one unseen.
func TestYesConfirmsOnlyWhatIsShown(t *testing.T) {
	d, f := verifying(t, "press-desk")
	changed := f.contacts[2]
	changed.SafetyNumber, changed.State = strings.Repeat("11111 ", 12), chat.ContactChanged
	f.contacts[2] = changed
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ContactStateChanged, Contact: &changed}}})
	if s := d.screen(); strings.Contains(s, "28471") {
		t.Errorf("the old number is still compared:\n%s", s)
	}
	d.has("The key changed just now")
	d.key("y")
	if f.called("VerifyContact c_3 28471") || !f.called("VerifyContact c_3 11111") {
		t.Errorf("calls %q", f.calls)
	}

	// Words that were on the screen are worthless too.
	d, f = verifying(t, "press-desk")
	d.run(d.a.wordsKnown("c_3", "acid banjo cobra delta"))
	d.has("acid banjo cobra delta")
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ContactStateChanged, Contact: &changed}}})
	d.key("y")
	if f.count("VerifyWords") > 0 {
		t.Error("words of the old key were confirmed")
	}
}

// TestTheyDifferBlocks: with different numbers nothing more is sent, and both ways
// out are offered.
func TestTheyDifferBlocks(t *testing.T) {
	d, f := verifying(t, "press-desk")
	d.key("n")
	if !f.called("BlockContact c_3") {
		t.Fatalf("calls %q", f.calls)
	}
	d.has("press-desk is blocked")
	d.has("[x] remove press-desk")
	d.key("x")
	d.has("Remove press-desk")
	d.key("n")
	if f.count("RemoveContact") > 0 {
		t.Error("removed without a yes")
	}
	d.key("u")
	if !f.called("UnblockContact c_3") {
		t.Errorf("calls %q", f.calls)
	}
	d.has("[y] they match")
	d.key("n", "x", "y")
	if !f.called("RemoveContact c_3") || d.a.top() != nil {
		t.Errorf("calls %q, dialogs %d", f.calls, len(d.a.dialogs))
	}
}

// TestBlockingThatFailsIsTold leaves nobody with the belief that nothing is sent.
func TestBlockingThatFailsIsTold(t *testing.T) {
	d, f := verifying(t, "press-desk")
	f.fail = map[string]error{"BlockContact": &chat.Error{Kind: chat.KindIO, Text: "the disk is full"}}
	d.key("n")
	d.has("the disk is full")
	if strings.Contains(d.screen(), "is blocked") {
		t.Error("it says blocked")
	}
}

// TestTypedNumberIsCompared has the program compare what the other side sent.
func TestTypedNumberIsCompared(t *testing.T) {
	d, f := verifying(t, "press-desk")
	d.typeText("28471 90312")
	d.msg(tea.PasteMsg{Content: " 55817\n60021\u202e"})
	d.key("y") // a letter while something is typed is no yes
	if f.count("VerifyContact") > 0 {
		t.Fatal("confirmed while a number was typed")
	}
	f.fail = map[string]error{"VerifyContact": &chat.Error{Kind: chat.KindRefused, Text: "this is not the safety number of the contact"}}
	d.key("enter")
	if !f.called("VerifyContact c_3 28471 90312 55817 60021y") {
		t.Errorf("calls %q", f.calls)
	}
	d.has("this is not the safety number of the contact")
	d.has("[y] they match")
}

// TestWordsEitherSideBegins compares words that we asked for, and words that the
// contact asked for while something else was on the screen.
func TestWordsEitherSideBegins(t *testing.T) {
	words := func(d *driver) {
		c := chat.Contact{ID: "c_3", Name: "press-desk", SafetyNumber: crowdNumber}
		d.msg(eventsMsg{events: []chat.Event{{Type: chat.ContactWords, Contact: &c, Words: "acid banjo cobra delta"}}})
	}
	d, f := verifying(t, "press-desk")
	d.key("w")
	if !f.called("CompareWords c_3") {
		t.Errorf("calls %q", f.calls)
	}
	d.has("Waiting for the program of press-desk")
	d.key("y") // nothing is there to say yes to
	words(d)
	d.has("acid banjo cobra delta")
	d.key("y")
	if !f.called("VerifyWords c_3 acid banjo cobra delta") || f.count("VerifyContact") > 0 {
		t.Errorf("calls %q", f.calls)
	}

	f = newFake()
	crowd(f)
	d = drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	words(d)
	d.has("press-desk compares words with you: /verify press-desk")
	d.typeText("/verify press-desk")
	d.key("enter")
	d.has("acid banjo cobra delta")
	d.key("n")
	if !f.called("BlockContact c_3") {
		t.Errorf("calls %q", f.calls)
	}
}

// TestNothingToCompare: groups, notes and those who have not answered.
func TestNothingToCompare(t *testing.T) {
	f := newFake()
	crowd(f)
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	for name, want := range map[string]string{
		"printers": "a group has no safety number", "notes": "nothing to compare", "nobody at all": "nobody is called nobody at all",
	} {
		d.typeText("/verify " + name)
		d.key("enter")
		d.has(want)
	}
	d.typeText("/verify dora")
	d.key("enter")
	d.has("nothing to compare yet")
	d.key("y", "n", "w", "q", "enter", "u", "x")
	for _, call := range []string{"VerifyContact", "BlockContact", "CompareWords", "UnblockContact", "RemoveContact"} {
		if f.count(call) > 0 {
			t.Errorf("%s was called", call)
		}
	}
}

// TestCodeIsWholeOrNotThere: half a code on a small screen is no code.
func TestCodeIsWholeOrNotThere(t *testing.T) {
	d, _ := verifying(t, "press-desk")
	d.key("q")
	rows := qrRows(strings.ReplaceAll(crowdNumber, " ", ""))
	for _, r := range rows {
		d.has(strings.TrimRight(r, " "))
	}
	d.msg(tea.WindowSizeMsg{Width: 58, Height: 16})
	d.has("This screen is too small for the code")
}

// TestYesNeedsTheWholeNumber: on no screen is a yes offered beside a part of the
// number.
func TestYesNeedsTheWholeNumber(t *testing.T) {
	for _, name := range []string{"press-desk", "bob"} {
		d, _ := verifying(t, name)
		for w := minWidth; w < 90; w += 3 {
			for h := minHeight; h < 26; h++ {
				d.msg(tea.WindowSizeMsg{Width: w, Height: h})
				box, _ := d.a.top().view(d.a, w, h)
				s := strings.Join(box, "\n")
				for _, group := range strings.Fields(crowdNumber) {
					if !strings.Contains(s, group) || !strings.Contains(s, "[y]") || !strings.Contains(s, "[n]") {
						t.Fatalf("%dx%d: no %s or no keys in\n%s", w, h, group, s)
					}
				}
			}
		}
	}
}

// TestCodeWithoutColours: without colours the light cells are the light ones on a
// dark terminal too.
func TestCodeWithoutColours(t *testing.T) {
	dark, light := qrCells("HEARSAY:ABC", true), qrCells("HEARSAY:ABC", false)
	inverse := strings.NewReplacer("█", " ", " ", "█", "▀", "▄", "▄", "▀")
	for i := range light[:len(light)-1] { // the last line is half outside
		if inverse.Replace(light[i]) != dark[i] {
			t.Errorf("line %d is not inverted", i)
		}
	}
}
