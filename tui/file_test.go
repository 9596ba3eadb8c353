package tui

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

const layoutSize = 2202009 // 2.1 MiB

// localFiles answers for the disk of the tests.
func localFiles(path string) (LocalFile, error) {
	l := LocalFile{Path: path, Exists: true, InDirectory: true, Regular: true, Size: layoutSize}
	if !strings.HasPrefix(path, "/") {
		l.Path = "/home/nell/" + path
	}
	switch {
	case strings.HasSuffix(path, "/") || path == "/home/nell/Downloads":
		l.Directory, l.Regular = true, false
	case strings.Contains(path, "none"):
		l.Exists, l.Regular = false, false
	case strings.Contains(path, "fifo"):
		l.Regular = false
	case strings.Contains(path, "note"):
		l.Size = 1000
	case strings.Contains(path, "broken"):
		return l, errors.New("the disk does not answer")
	}
	return l, nil
}

// withFiles gives marta a file in every state.
func withFiles(f *fakeChat) {
	f.status.Cover = "normal"
	at := testNow.Add(-time.Hour)
	file := func(id, dir string, state chat.FileState, done int64) chat.File {
		at = at.Add(time.Minute)
		return chat.File{ID: id, Contact: "c_1", Direction: dir, Name: "layout.pdf", Size: layoutSize, Padded: chat.FilePadded(layoutSize), Done: done, State: state, Time: at}
	}
	offered := file("f_1", chat.In, chat.FileOffered, 0)
	fetching := file("f_2", chat.In, chat.FileFetching, 1363149)
	paused := file("f_3", chat.In, chat.FileFetching, 200000)
	paused.Paused = true
	fetched := file("f_4", chat.In, chat.FileComplete, layoutSize)
	saved := file("f_5", chat.In, chat.FileComplete, layoutSize)
	saved.Path = "/home/nell/Downloads/layout.pdf"
	failed := file("f_6", chat.In, chat.FileFailed, 0)
	failed.Detail = "it is not the file that was offered"
	sending := file("f_7", chat.Out, chat.FileSending, 400000)
	sending.Burst = true
	stored := file("f_8", chat.Out, chat.FileStored, layoutSize)
	stored.Detail = "1 of 2 copies"
	delivered := file("f_9", chat.Out, chat.FileComplete, layoutSize)
	f.files = []chat.File{offered, fetching, paused, fetched, saved, failed, sending, stored, delivered}
}

// withFileMessages shows some of them in the timeline.
func withFileMessages(ids ...string) func(f *fakeChat) {
	return func(f *fakeChat) {
		withFiles(f)
		f.messages["c_1"] = f.messages["c_1"][:1]
		for i, file := range f.files {
			for _, id := range ids {
				if file.ID != id {
					continue
				}
				m := chat.Message{
					ID: fmt.Sprintf("m_9%d", i), Contact: "c_1", Direction: file.Direction, Seq: uint64(20 + i), Time: file.Time, State: chat.Received,
					Kind: chat.KindMessageFile, Text: "[file: layout.pdf, 2.1 MiB]", File: &file,
				}
				if file.Direction == chat.Out {
					m.State = chat.Stored
				}
				f.messages["c_1"] = append(f.messages["c_1"], m)
			}
		}
	}
}

// goldenText compares a text with testdata/NAME.txt.
func goldenText(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", name, got)
	}
}

// command types a command and sends it.
func (d *driver) command(line string) {
	d.typeText(line)
	d.key("enter")
}

func fileDriver(t *testing.T, setup func(f *fakeChat)) (*driver, *fakeChat) {
	t.Helper()
	f := newFake()
	withFiles(f)
	if setup != nil {
		setup(f)
	}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.files()
	return d, f
}

// files shows marta's conversation, on a computer with a disk.
func (d *driver) files() {
	d.a.cfg.LocalFile, d.a.cfg.SaveDir = localFiles, "/home/nell/Downloads"
	d.run(d.a.selectEntry("c_1"))
}

func TestFileScreens(t *testing.T) {
	goldens(t, "file-offer", withFiles, func(d *driver) {
		d.files()
		d.run(d.a.fileCommand("layout.pdf"))
	})
	goldens(t, "file-offer-burst", withFiles, func(d *driver) {
		d.files()
		d.run(d.a.fileCommand("layout.pdf"))
		d.key("b")
	})
	goldens(t, "file-save", withFiles, func(d *driver) {
		d.files()
		d.run(d.a.saveCommand(""))
	})
	goldens(t, "file-fetch", func(f *fakeChat) { withFiles(f); f.files = f.files[:1] }, func(d *driver) {
		d.files()
		d.run(d.a.saveCommand(""))
		d.key("enter")
	})
	goldens(t, "file-stop", withFiles, func(d *driver) {
		d.files()
		d.run(d.a.openFiles())
		d.key("down", "x")
	})
	goldens(t, "file-timeline", withFileMessages("f_1", "f_2", "f_5", "f_6", "f_8"), func(d *driver) {
		d.a.rates["f_2"] = []fileSample{{testNow.Add(-10 * time.Second), 1363149 - 184320}, {testNow, 1363149}}
		d.files()
		d.key("alt+end")
	})
	goldens(t, "files", withFiles, func(d *driver) {
		d.files()
		d.run(d.a.openFiles())
		d.key("down", "down")
	})
}

// TestFileIsOfferedOnlyWhenAsked names a file by the command: nothing is sent
// before the person agreed to what it takes, and the burst is what was chosen.
func TestFileIsOfferedOnlyWhenAsked(t *testing.T) {
	d, f := fileDriver(t, nil)
	d.command("/file layout.pdf")
	d.has("Offer a file to marta")
	d.has("at least 1 h 17 min hidden")
	if f.count("SendFile") != 0 {
		t.Fatal("it was offered without being asked")
	}
	d.key("esc")
	if f.count("SendFile") != 0 || d.a.top() != nil {
		t.Fatal("esc offered it, or did not close")
	}
	f.messages["c_1"] = append(f.messages["c_1"], chat.Message{
		ID: "m_99", Contact: "c_1", Direction: chat.Out, Seq: 99, Time: testNow, State: chat.Queued, Kind: chat.KindMessageFile,
		File: &chat.File{ID: "f_new", Contact: "c_1", Direction: chat.Out, Name: "layout.pdf", Size: layoutSize, State: chat.FileSending},
	})
	d.command("/file layout.pdf")
	d.key("b", "enter")
	if !f.called("SendFile c_1 /home/nell/layout.pdf true") {
		t.Errorf("calls %q", f.calls)
	}
	if m := d.a.shown().messages; m[len(m)-1].ID != "m_99" || d.a.top() != nil {
		t.Error("the offer is not on screen")
	}
	d.command("/file note.txt") // small: nobody need choose
	d.key("b", "enter")
	if !f.called("SendFile c_1 /home/nell/note.txt false") {
		t.Errorf("calls %q", f.calls)
	}
}

// TestFileOfferRefused names what cannot be offered.
func TestFileOfferRefused(t *testing.T) {
	d, f := fileDriver(t, func(f *fakeChat) {
		f.groups = []chat.Group{{ID: "g_1", Name: "printers", Members: []string{"c_1"}, State: chat.GroupActive}}
		f.contacts = append(f.contacts, chat.Contact{ID: chat.NotesID, Name: chat.NotesID, State: chat.ContactActive})
		f.fail = map[string]error{"SendFile": &chat.Error{Kind: chat.KindTooLarge, Text: "the file is too large", Hint: "send a link"}}
	})
	for path, want := range map[string]string{
		"none.pdf": "there is no such file", "Downloads/": "this is a directory", "fifo": "no regular file", "broken": "the disk does not answer",
	} {
		d.command("/file " + path)
		d.has(want)
		if p, ok := d.a.top().(*promptDialog); !ok || p.input.Value() != path {
			t.Errorf("%s cannot be mended:\n%s", path, d.screen())
		}
		d.key("esc")
	}
	d.command("/file")
	d.typeText("none.pdf")
	d.key("enter")
	d.has("there is no such file")
	d.key("esc")
	for id, want := range map[string]string{"g_1": "not to a group", chat.NotesID: "never leave this disk"} {
		d.run(d.a.selectEntry(id))
		if d.command("/file layout.pdf"); !strings.Contains(d.a.notice, want) {
			t.Errorf("%s: %q", id, d.a.notice)
		}
	}
	if f.count("SendFile") != 0 {
		t.Fatal("it was offered")
	}
	d.run(d.a.selectEntry("c_1"))
	d.command("/file layout.pdf")
	d.key("enter")
	d.has("the file is too large (send a link)")
	if _, open := d.a.top().(*travelDialog); !open {
		t.Error("the dialog closed on an error")
	}
}

// TestFileIsFetchedOnlyWhenAsked saves an offered file: where to, then how.
func TestFileIsFetchedOnlyWhenAsked(t *testing.T) {
	d, f := fileDriver(t, func(f *fakeChat) { f.files = f.files[:1] })
	d.command("/save")
	d.has("to: /home/nell/Downloads/")
	d.key("enter")
	d.has("Fetch layout.pdf")
	if f.count("FetchFile")+f.count("SaveFile") != 0 {
		t.Fatal("it was fetched without being asked")
	}
	d.key("b", "enter")
	if !f.called("FetchFile f_1 true") || !f.called("SaveFile f_1 /home/nell/Downloads/") || d.a.top() != nil {
		t.Errorf("calls %q", f.calls)
	}
	d.has("saved when all of it is here")
}

// TestFileSave saves a file that is here, and never over another one.
func TestFileSave(t *testing.T) {
	d, f := fileDriver(t, nil)
	d.command("/save plan.pdf")
	d.has("there is a file already: /home/nell/plan.pdf (choose another name)")
	d.command("/save none.pdf") // does not exist yet
	if !f.called("SaveFile f_4 /home/nell/none.pdf") || f.count("FetchFile") != 0 {
		t.Errorf("calls %q", f.calls)
	}
	d.has("layout.pdf is saved")
	f.fail = map[string]error{"SaveFile": &chat.Error{Kind: chat.KindIO, Text: "the disk is full"}}
	d.command("/save")
	d.key("enter")
	d.has("the disk is full")
	if _, open := d.a.top().(*promptDialog); !open {
		t.Error("the dialog closed on an error")
	}
	d.key("esc")
	for _, file := range f.files[4:] {
		d.a.notice = ""
		if d.run(d.a.openSave(file)); d.a.top() != nil || d.a.notice == "" {
			t.Errorf("%s %s may be saved", file.Direction, file.State)
		}
	}
}

// TestFilePauseAndStop runs the keys of the list of files.
func TestFilePauseAndStop(t *testing.T) {
	d, f := fileDriver(t, nil)
	file := func(id string) chat.File { return f.files[id[2]-'1'] }
	for _, c := range []struct{ id, call string }{{"f_2", "PauseFile f_2"}, {"f_3", "FetchFile f_3 false"}, {"f_7", "PauseFile f_7"}} {
		if d.run(d.a.pauseFile(file(c.id))); !f.called(c.call) {
			t.Errorf("%s: %q", c.id, f.calls)
		}
	}
	calls := len(f.calls)
	for _, id := range []string{"f_1", "f_4", "f_5", "f_6", "f_8", "f_9"} {
		d.a.notice = ""
		if d.run(d.a.pauseFile(file(id))); len(f.calls) != calls || d.a.notice == "" {
			t.Errorf("%s was paused: %q", id, f.calls[calls:])
		}
	}
	for _, id := range []string{"f_1", "f_2", "f_3", "f_7", "f_8"} {
		d.run(d.a.stopFile(file(id)))
		if d.key("n"); f.called("CancelFile " + id) {
			t.Errorf("%s was stopped without a yes", id)
		}
		d.run(d.a.stopFile(file(id)))
		if d.key("y"); !f.called("CancelFile " + id) {
			t.Errorf("%s was not stopped", id)
		}
	}
	for _, id := range []string{"f_4", "f_5", "f_6", "f_9"} {
		if d.run(d.a.stopFile(file(id))); d.a.top() != nil {
			t.Errorf("%s may be stopped", id)
		}
	}
}

// TestFileKeysOfMessages acts on the file of the message that is selected.
func TestFileKeysOfMessages(t *testing.T) {
	d, f := fileDriver(t, withFileMessages("f_2"))
	d.key("up", "p")
	if !f.called("PauseFile f_2") {
		t.Errorf("calls %q", f.calls)
	}
	d.key("x", "y")
	if !f.called("CancelFile f_2") {
		t.Errorf("calls %q", f.calls)
	}
	d.key("s")
	d.has("Save layout.pdf")
	d.key("esc", "k", "s") // the text above has none
	d.has("there is no file in this message")
}

// TestFileProgress follows events, those of a daemon too, which leave out what does
// not change: the rate is measured, and not shown when nothing is told any more.
func TestFileProgress(t *testing.T) {
	d, f := fileDriver(t, withFileMessages("f_2"))
	now := testNow
	d.a.now = func() time.Time { return now }
	d.run(d.a.selectEntry("c_1"))
	line := func() string {
		for i := range d.a.shown().messages {
			if m := &d.a.shown().messages[i]; m.File != nil {
				return ansi.Strip(strings.Join(d.a.fileLines(m, 80), "\n"))
			}
		}
		return ""
	}
	if s := line(); !strings.Contains(s, " 61%") || strings.Contains(s, "/s") {
		t.Errorf("before any event:\n%s", s)
	}
	tell := func(file chat.File) {
		d.msg(eventsMsg{events: []chat.Event{{Type: chat.FileProgress, File: &file}}})
	}
	part := chat.File{ID: "f_2", Contact: "c_1", State: chat.FileFetching, Size: layoutSize, Done: 1400000}
	tell(part)
	now = now.Add(10 * time.Second)
	part.Done += 184320
	tell(part)
	if s := line(); !strings.Contains(s, "layout.pdf") || !strings.Contains(s, "18 KiB/s") || !strings.Contains(s, "[p] pause") {
		t.Errorf("under way:\n%s", s)
	}
	now = now.Add(rateStale + time.Second)
	d.msg(refreshMsg{})
	if s := line(); strings.Contains(s, "/s") {
		t.Errorf("after a silence:\n%s", s)
	}
	part.Paused = true
	tell(part)
	if s := line(); !strings.Contains(s, "paused") || !strings.Contains(s, "[p] go on") {
		t.Errorf("paused:\n%s", s)
	}
	part.Paused, part.State, part.Detail = false, chat.FileFailed, "withdrawn by the contact"
	tell(part)
	if s := line(); !strings.Contains(s, "failed") || !strings.Contains(s, "withdrawn by the contact") || strings.Contains(s, "[") {
		t.Errorf("failed:\n%s", s)
	}
	_ = f
}

// TestFileRate measures over a minute and begins anew when relays lost something.
func TestFileRate(t *testing.T) {
	r, now := fileRates{}, testNow
	f := &chat.File{ID: "f", State: chat.FileSending}
	for range 300 {
		f.Done += 1000
		r.note(f, now)
		now = now.Add(time.Second)
	}
	for range 30 {
		f.Done += 5000
		r.note(f, now)
		now = now.Add(time.Second)
	}
	if rate, ok := r.of("f", now); !ok || rate < 2500 || rate > 3500 {
		t.Errorf("%d, %t", rate, ok)
	}
	if len(r["f"]) > 70 {
		t.Errorf("%d samples are kept", len(r["f"]))
	}
	f.Done = 10
	r.note(f, now)
	if rate, ok := r.of("f", now); ok {
		t.Errorf("%d after a loss", rate)
	}
	f.Paused = true
	if r.note(f, now); len(r) != 0 {
		t.Error("a file that is paused has a rate")
	}
}

// TestFileGoneByLocking keeps nothing of files behind the lock, nor a question.
func TestFileGoneByLocking(t *testing.T) {
	d, f := fileDriver(t, nil)
	d.command("/file layout.pdf")
	d.a.fileChanged(f.files[1])
	d.a.hide()
	if len(d.a.rates) != 0 || len(d.a.dialogs) != 0 {
		t.Errorf("%d rates and %d dialogs are left", len(d.a.rates), len(d.a.dialogs))
	}
	if s := d.screen(); strings.Contains(s, "layout") || strings.Contains(s, "marta") {
		t.Errorf("the lock shows:\n%s", s)
	}
}

// TestFileLinesFit lays out every state at every width, with names and details of
// a hostile peer: no line is too wide, and nothing but styles gets through.
func TestFileLinesFit(t *testing.T) {
	d, f := fileDriver(t, nil)
	names := []string{
		"layout.pdf", "\x1b]0;own\x07\x1b[2J../../etc/passwd", "a\u202efdp.exe", "\u0c1c\u0c4d\u0c1e\u200c\u0c3e", strings.Repeat("\u6f22", 40), strings.Repeat("e\u0301\u0301\u0301\u0301\u0301\u0301", 20), "x\ny", "",
	}
	for _, ascii := range []bool{false, true} {
		prefs := DefaultPreferences()
		prefs.ASCII = ascii
		d.a.theme = newTheme(prefs, true)
		for _, file := range f.files {
			for _, name := range names {
				file.Name = name
				file.Detail = strings.ReplaceAll(file.Detail, "offered", "offered "+name)
				d.a.rates[file.ID] = []fileSample{{testNow.Add(-2 * time.Second), 0}, {testNow, file.Done}}
				m := &chat.Message{ID: "m", Contact: "c_1", Kind: chat.KindMessageFile, File: &file}
				for w := 1; w <= 120; w += 1 + w/8 {
					for _, l := range d.a.fileLines(m, w) {
						plain := ansi.Strip(l)
						if n := ansi.StringWidth(l); n > w {
							t.Fatalf("%d cells of %d: %q", n, w, plain)
						}
						if strings.ContainsAny(plain, "\x1b\x07\n\r\u202e\u009b") {
							t.Fatalf("control characters in %q", plain)
						}
						if ascii && name == "layout.pdf" && strings.ContainsFunc(plain, func(r rune) bool { return r > 126 }) {
							t.Fatalf("not ASCII: %q", plain)
						}
					}
				}
			}
		}
	}
	gone := &chat.Message{ID: "m", Contact: "c_1", Kind: chat.KindMessageFile, Text: "[file: plan.pdf, 98 KiB]"}
	if l := d.a.fileLines(gone, 40); strings.Join(l, "") != "[file: plan.pdf, 98 KiB]" {
		t.Errorf("a transfer that was forgotten: %q", l)
	}
}

// TestFileLines reads what people are told in each state.
func TestFileLines(t *testing.T) {
	d, f := fileDriver(t, nil)
	var b strings.Builder
	for _, file := range f.files {
		for _, w := range []int{72, 50, 26} {
			fmt.Fprintf(&b, "%s %s, %d cells\n", file.Direction, file.State, w)
			for _, l := range d.a.fileLines(&chat.Message{ID: "m", Contact: "c_1", Kind: chat.KindMessageFile, File: &file}, w) {
				b.WriteString("  |" + fit(ansi.Strip(l), w) + "|\n")
			}
		}
	}
	goldenText(t, "file-lines", b.String())
}

// TestFilesFollow has the list follow events, and files that appear.
func TestFilesFollow(t *testing.T) {
	d, f := fileDriver(t, nil)
	d.command("/files")
	l := d.a.top().(*filesDialog)
	if len(l.files) != 9 || l.files[0].ID != "f_9" {
		t.Fatalf("%d files, first %s", len(l.files), l.files[0].ID)
	}
	d.key("down", "down")
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.FileProgress, File: &chat.File{ID: "f_7", Contact: "c_1", State: chat.FileSending, Size: layoutSize, Done: layoutSize, Burst: true}}}})
	d.has("100%")
	f.files = append(f.files, chat.File{ID: "f_10", Contact: "c_1", Direction: chat.In, Name: "new.txt", Size: 12, State: chat.FileOffered, Time: testNow})
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.FileProgress, File: &f.files[9]}}})
	if l.files[0].ID != "f_10" || l.files[l.at].ID != "f_7" {
		t.Errorf("first %s, marked %s", l.files[0].ID, l.files[l.at].ID)
	}
	d.key("k", "k", "k", "k", "s")
	d.has("Save new.txt")
	d.key("esc", "esc")
	f.fail = map[string]error{"Files": errors.New("the store is closed")}
	d.command("/files")
	d.has("the store is closed")
}

// TestFileEndsWhileItsPageIsRead: a page that was read before a transfer ended must
// not show it as under way for ever; no further event would come.
func TestFileEndsWhileItsPageIsRead(t *testing.T) {
	d, _ := fileDriver(t, withFileMessages("f_2"))
	page := d.a.shown().reload(d.a)()
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.FileProgress, File: &chat.File{
		ID: "f_2", Contact: "c_1", Direction: chat.In, State: chat.FileComplete, Size: layoutSize, Done: layoutSize,
	}}}})
	d.msg(page)
	if s := d.screen(); strings.Contains(s, "fetching") || !strings.Contains(s, "fetched") {
		t.Errorf("after the end:\n%s", s)
	}
}
