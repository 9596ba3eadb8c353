package signer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"hearsay/directory"
)

// Specification constants of marks (SPEC.md §8).
const (
	MaxMarkLife  = 90 * 24 * time.Hour
	maxMarks     = 1000
	maxMarkText  = 120 // bytes of a reason
	maxMarksFile = 1 << 20
	fileMarks    = "marks"
)

// Errors of marks.
var (
	// ErrBadMark is returned for a mark that breaks a rule.
	ErrBadMark = errors.New("signer: not a mark")
	// ErrNoMark is returned when there is nothing to clear.
	ErrNoMark = errors.New("signer: the relay has no mark here")
)

// Mark is what a signer's operator says of a relay: it goes into the signer's
// votes until it ends, at most 90 days.
type Mark struct {
	Relay  directory.RelayID
	Flags  directory.VoteFlags // VoteWatch, VoteMiddleOnly, VoteExclude or VoteApprove
	Reason string              // in plain words, at most 120 bytes; empty for VoteApprove
	Until  time.Time           // whole days
}

// markNames are the kinds of marks as the file and commands name them.
var markNames = map[string]directory.VoteFlags{
	"watch": directory.VoteWatch, "middle-only": directory.VoteMiddleOnly,
	"exclude": directory.VoteExclude, "approve": directory.VoteApprove,
}

// Kind returns the name of what the mark says: watch, middle-only, exclude or
// approve.
func (m Mark) Kind() string {
	for name, f := range markNames {
		if f == m.Flags {
			return name
		}
	}
	return "unknown"
}

// check applies the rules that one mark must obey by itself.
func (m Mark) check() error {
	switch {
	case m.Kind() == "unknown":
		return fmt.Errorf("%w: watch, middle-only, exclude or approve", ErrBadMark)
	case (m.Flags == directory.VoteApprove) != (m.Reason == ""):
		return fmt.Errorf("%w: each mark has a reason, an approval has none", ErrBadMark)
	case len(m.Reason) > maxMarkText || !utf8.ValidString(m.Reason) || m.Reason != strings.TrimSpace(m.Reason) ||
		strings.ContainsFunc(m.Reason, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%w: a reason has at most %d bytes of plain words", ErrBadMark, maxMarkText)
	case m.Until.Unix() <= 0 || m.Until.Unix()%(24*3600) != 0 || m.Until.Year() > 9999:
		return fmt.Errorf("%w: it ends when a day ends, in UTC", ErrBadMark)
	}
	return nil
}

// LoadMarks returns the marks in the founder's home, those that have ended too.
// Without a file there are none. It may be called while another process saves.
func LoadMarks(dir string) ([]Mark, error) {
	f, err := os.Open(filepath.Join(dir, fileMarks))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > maxMarksFile {
		return nil, fmt.Errorf("%w: %s is too large", ErrBadMark, f.Name())
	}
	b := make([]byte, st.Size())
	for n := 0; n < len(b); {
		k, err := f.Read(b[n:])
		if err != nil {
			return nil, err
		}
		n += k
	}
	list, err := ParseMarks(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return list, nil
}

// ParseMarks reads the file of marks, which FormatMarks writes (SPEC.md §8.1).
func ParseMarks(b []byte) ([]Mark, error) {
	var list []Mark
	for number, line := range strings.Split(string(b), "\n") {
		if line == "" && number == strings.Count(string(b), "\n") {
			break
		}
		m, err := parseMark(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
		if n := len(list); n > 0 && compareMarks(list[n-1], m) >= 0 {
			return nil, fmt.Errorf("line %d: %w: order", number+1, ErrBadMark)
		}
		if len(list) == maxMarks {
			return nil, fmt.Errorf("%w: more than %d", ErrBadMark, maxMarks)
		}
		list = append(list, m)
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		return nil, fmt.Errorf("%w: the last line is cut off", ErrBadMark)
	}
	return list, nil
}

func parseMark(line string) (m Mark, err error) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) < 3 || len(parts) == 4 && parts[3] == "" {
		return m, fmt.Errorf("%w: relay, kind, day and reason", ErrBadMark)
	}
	if m.Relay, err = directory.ParseRelayID(parts[0]); err != nil {
		return m, fmt.Errorf("%w: %w", ErrBadMark, err)
	}
	m.Flags = markNames[parts[1]]
	if m.Until, err = time.Parse(time.DateOnly, parts[2]); err != nil {
		return m, fmt.Errorf("%w: %q is no day", ErrBadMark, parts[2])
	}
	if len(parts) == 4 {
		m.Reason = parts[3]
	}
	return m, m.check()
}

// FormatMarks writes marks, in order, as ParseMarks reads them.
func FormatMarks(list []Mark) []byte {
	list = slices.SortedFunc(slices.Values(list), compareMarks)
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%s %s %s", m.Relay, m.Kind(), m.Until.UTC().Format(time.DateOnly))
		if m.Reason != "" {
			b.WriteString(" " + m.Reason)
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// compareMarks orders marks by relay, approvals first: there is one of each.
func compareMarks(a, b Mark) int {
	return cmp.Or(
		slices.Compare(a.Relay[:], b.Relay[:]),
		cmp.Compare(b.Flags&directory.VoteApprove, a.Flags&directory.VoteApprove),
	)
}

// SaveMark adds a mark to the founder's home, in place of the one that the relay
// has, and forgets those that have ended. An approval and another mark stand
// beside each other. The next vote bears it. Two that save at once may lose one.
func SaveMark(dir string, m Mark, now time.Time) error {
	if err := m.check(); err != nil {
		return err
	}
	if !m.Until.After(now) || m.Until.After(now.Add(MaxMarkLife)) {
		return fmt.Errorf("%w: it ends within 90 days", ErrBadMark)
	}
	return changeMarks(dir, now, func(list []Mark) ([]Mark, error) {
		list = slices.DeleteFunc(list, func(old Mark) bool { return compareMarks(old, m) == 0 })
		if len(list) == maxMarks {
			return nil, fmt.Errorf("%w: there are %d already", ErrBadMark, maxMarks)
		}
		return append(list, m), nil
	})
}

// ClearMarks takes back all that was said of a relay. It fails with ErrNoMark if
// nothing was.
func ClearMarks(dir string, relay directory.RelayID, now time.Time) error {
	return changeMarks(dir, now, func(list []Mark) ([]Mark, error) {
		kept := slices.DeleteFunc(slices.Clone(list), func(m Mark) bool { return m.Relay == relay })
		if len(kept) == len(list) {
			return nil, ErrNoMark
		}
		return kept, nil
	})
}

// changeMarks replaces the file as a whole: after a crash it is the old or the
// new one.
func changeMarks(dir string, now time.Time, change func([]Mark) ([]Mark, error)) error {
	list, err := LoadMarks(dir)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(m Mark) bool { return !m.Until.After(now) })
	if list, err = change(list); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(FormatMarks(list))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, fileMarks))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// MarkEnd returns the end of a mark that is made now for so many days: the end
// of that day, in UTC.
func MarkEnd(now time.Time, days int) time.Time {
	return now.UTC().Truncate(24*time.Hour).AddDate(0, 0, days)
}
