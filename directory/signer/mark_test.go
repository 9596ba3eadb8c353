package signer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

func TestMarks(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2027, 3, 1, 15, 0, 0, 0, time.UTC)
	list, err := LoadMarks(dir)
	if err != nil || len(list) != 0 {
		t.Fatalf("%v %v", list, err)
	}
	a, b := directory.RelayID{1}, directory.RelayID{2}
	watch := Mark{Relay: b, Flags: directory.VoteWatch, Reason: "changes its link key each hour, see the log", Until: MarkEnd(now, 30)}
	approve := Mark{Relay: b, Flags: directory.VoteApprove, Until: MarkEnd(now, 14)}
	exclude := Mark{Relay: a, Flags: directory.VoteExclude, Reason: "floods", Until: MarkEnd(now, 90)}
	for _, m := range []Mark{watch, approve, exclude} {
		check(t, SaveMark(dir, m, now))
	}
	list, err = LoadMarks(dir)
	if err != nil || len(list) != 3 || list[0] != exclude || list[1] != approve || list[2] != watch {
		t.Fatalf("%+v %v", list, err)
	}
	st, err := os.Stat(filepath.Join(dir, "marks"))
	check(t, err)
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	// A new mark takes the place of the old one, and what has ended is forgotten.
	middle := Mark{Relay: b, Flags: directory.VoteMiddleOnly, Reason: "still does", Until: MarkEnd(now, 40)}
	check(t, SaveMark(dir, middle, now.AddDate(0, 0, 20)))
	if list, err = LoadMarks(dir); err != nil || len(list) != 2 || list[1] != middle {
		t.Fatalf("%+v %v", list, err)
	}
	check(t, ClearMarks(dir, b, now))
	if err := ClearMarks(dir, b, now); !errors.Is(err, ErrNoMark) {
		t.Error(err)
	}
	if list, err = LoadMarks(dir); err != nil || len(list) != 1 || list[0] != exclude {
		t.Fatalf("%+v %v", list, err)
	}
	for name, m := range map[string]Mark{
		"no reason":         {Relay: a, Flags: directory.VoteWatch, Until: MarkEnd(now, 1)},
		"approve for why":   {Relay: a, Flags: directory.VoteApprove, Reason: "x", Until: MarkEnd(now, 1)},
		"long reason":       {Relay: a, Flags: directory.VoteWatch, Reason: strings.Repeat("x", 121), Until: MarkEnd(now, 1)},
		"two lines":         {Relay: a, Flags: directory.VoteWatch, Reason: "x\ny", Until: MarkEnd(now, 1)},
		"no kind":           {Relay: a, Reason: "x", Until: MarkEnd(now, 1)},
		"conflict":          {Relay: a, Flags: directory.VoteConflict, Reason: "x", Until: MarkEnd(now, 1)},
		"two kinds":         {Relay: a, Flags: directory.VoteWatch | directory.VoteExclude, Reason: "x", Until: MarkEnd(now, 1)},
		"over":              {Relay: a, Flags: directory.VoteWatch, Reason: "x", Until: MarkEnd(now, 0)},
		"within a day":      {Relay: a, Flags: directory.VoteWatch, Reason: "x", Until: now.Add(time.Hour)},
		"more than 90 days": {Relay: a, Flags: directory.VoteWatch, Reason: "x", Until: MarkEnd(now, 92)},
	} {
		if err := SaveMark(dir, m, now); !errors.Is(err, ErrBadMark) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A damaged file is an error, and stays as it is.
	path := filepath.Join(dir, "marks")
	check(t, os.WriteFile(path, []byte("nonsense\n"), 0o600))
	if _, err := LoadMarks(dir); !errors.Is(err, ErrBadMark) {
		t.Error(err)
	}
	if err := SaveMark(dir, watch, now); !errors.Is(err, ErrBadMark) {
		t.Error(err)
	}
}

func FuzzParseMarks(f *testing.F) {
	id := directory.RelayID{1}.String()
	for _, s := range []string{
		"", "\n", id + " watch 2027-03-01 too fast\n", id + " approve 2027-03-01\n",
		id + " exclude 2027-03-01 a  b\n" + directory.RelayID{2}.String() + " middle-only 2027-12-31 x\n",
		id + " watch 2027-02-30 x\n", id + " watch 2027-03-01 x", id + " watch 2027-03-01 \n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseMarks(b)
		if err != nil {
			return
		}
		if again := FormatMarks(list); !bytes.Equal(again, b) {
			t.Fatalf("%q is written as %q", b, again)
		}
	})
}
