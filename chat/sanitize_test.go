package chat

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSanitize(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "hello, world\nsecond line", "hello, world\nsecond line"},
		{"tab", "a\tb", "a b"},
		{"escape", "\x1b[31mred\x1b]8;;http://x\x07", "[31mred]8;;http://x"},
		{"c1 csi as a byte", "a\x9b31m", "a\ufffd31m"},
		{"c1 csi as a rune", "a\u009b31m", "a31m"},
		{"carriage return overwrites an author", "Alice: hi\rBob", "Alice: hiBob"},
		{"bidi override", "a\u202eb\u2066c\u2069", "abc"},
		{"zero width space", "a\u200bb\ufeffc\u00add", "abcd"},
		{"emoji family", "👨‍👩‍👧", "👨‍👩‍👧"},
		{"heart with selector", "❤️‍🔥", "❤️‍🔥"},
		{"joiner between latin", "a\u200db", "ab"},
		{"joiner at the end", "👨\u200d", "👨"},
		{"persian joiner", "می\u200cخواهم", "می\u200cخواهم"},
		{"devanagari joiner", "क्\u200dष", "क्\u200dष"},
		{"marks", "a" + strings.Repeat("\u0301", 100), "a" + strings.Repeat("\u0301", 4)},
		{"marks behind joiners", "👨\u0301\u0301\u0301\u0301\u200d\u0301", "👨\u0301\u0301\u0301\u0301"},
		{"line separator", "a\u2028b", "ab"},
		{"invalid", "\xff\xfe", "\ufffd\ufffd"},
		{"tag characters", "🏴\U000e0067\U000e007f", "🏴"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Sanitize(c.in); got != c.want {
				t.Errorf("Sanitize(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestSanitizeFileName(t *testing.T) {
	for in, want := range map[string]string{
		"layout.pdf":          "layout.pdf",
		"../../etc/passwd":    "passwd",
		`..\..\evil.exe`:      "evil.exe",
		".bashrc":             "bashrc",
		"...":                 "",
		"/":                   "",
		"a/b/":                "b",
		"x\x1b]0;t\x07\n.txt": "x]0;t .txt",
	} {
		if got := SanitizeFileName(in); got != want {
			t.Errorf("SanitizeFileName(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzSanitize(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b[2J\u202e\u200d👨\u200d👩 क्\u200dष\r\n\t")
	f.Fuzz(func(t *testing.T, in string) {
		out := Sanitize(in)
		if again := Sanitize(out); again != out {
			t.Fatalf("not idempotent: %q, then %q", out, again)
		}
		if !utf8.ValidString(out) {
			t.Fatalf("invalid UTF-8: %q", out)
		}
		marks := 0
		for _, r := range out {
			switch {
			case r != '\n' && unicode.IsControl(r):
				t.Fatalf("control character %U in %q", r, out)
			case unicode.Is(unicode.Bidi_Control, r):
				t.Fatalf("bidi control %U in %q", r, out)
			case unicode.Is(unicode.M, r):
				marks++
			default:
				marks = 0
			}
			if marks > maxMarks {
				t.Fatalf("%d marks on one character in %q", marks, out)
			}
		}
		name := SanitizeFileName(in)
		if strings.ContainsAny(name, "/\\\n\x00") || strings.HasPrefix(name, ".") || SanitizeFileName(name) != name {
			t.Fatalf("file name %q", name)
		}
		if one := SanitizeName(in); strings.Contains(one, "\n") || SanitizeName(one) != one {
			t.Fatalf("name %q", one)
		}
	})
}
