package cell

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata again")

func TestSizesAddUp(t *testing.T) {
	for slot, want := range [][2]int{{1148, 1131}, {1131, 1114}, {1114, 1097}, {1097, 1080}} {
		if CipherSize(slot) != want[0] || PayloadSize(slot) != want[1] {
			t.Errorf("slot %d: L %d P %d", slot, CipherSize(slot), PayloadSize(slot))
		}
	}
	if PayloadSize(3) != MessageHeaderSize+DataSize {
		t.Error("a full message does not fit the last slot exactly")
	}
}

// messages has one example of each command.
func messages() map[string]Message {
	seq := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i*7 + 1)
		}
		return b
	}
	return map[string]Message{
		"data":        {Command: Data, Stream: 3, Data: seq(1072)},
		"data-short":  {Command: Data, Stream: 65535, Data: seq(1)},
		"begin":       {Command: Begin, Stream: 1, Data: []byte{ServiceDirectory, 0, 0, 0}},
		"connected":   {Command: Connected, Stream: 1},
		"end":         {Command: End, Stream: 1, Data: []byte{EndOverload}},
		"xoff":        {Command: XOff, Stream: 2},
		"xon":         {Command: XOn, Stream: 2},
		"sendme":      {Command: SendMe, Data: seq(16)},
		"extend-0":    {Command: Extend, Flags: FirstOfTwo, Data: seq(1072)},
		"extend-1":    {Command: Extend, Flags: SecondOfTwo, Data: seq(216)},
		"extended-0":  {Command: Extended, Flags: FirstOfTwo, Data: seq(1072)},
		"extended-1":  {Command: Extended, Flags: SecondOfTwo, Data: seq(80)},
		"extend-fail": {Command: ExtendFail, Data: []byte{FailTimeout}},
		"drop":        {Command: Drop},
		"ping":        {Command: Ping, Data: seq(16)},
		"pong":        {Command: Pong, Data: seq(16)},
		"echo":        {Command: Echo, Data: seq(1072)},
		"echo-reply":  {Command: EchoReply, Data: seq(1072)},
		"echo-busy":   {Command: EchoBusy, Data: []byte{1, 44}},
		"mailbox":     {Command: 0x46, Flags: 9, Stream: 1, Data: seq(1072)},
	}
}

func TestMessageVectors(t *testing.T) {
	var out strings.Builder
	names := []string{
		"data", "data-short", "begin", "connected", "end", "xoff", "xon", "sendme", "extend-0", "extend-1", "extended-0",
		"extended-1", "extend-fail", "drop", "ping", "pong", "echo", "echo-reply", "echo-busy", "mailbox",
	}
	for _, name := range names {
		m := messages()[name]
		p := make([]byte, PayloadSize(3))
		if err := m.Put(p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := ParseMessage(p)
		if err != nil || got.Command != m.Command || got.Flags != m.Flags || got.Stream != m.Stream || !bytes.Equal(got.Data, m.Data) {
			t.Fatalf("%s: %+v %v", name, got, err)
		}
		fmt.Fprintf(&out, "%s %x\n", name, bytes.TrimRight(p, "\x00"))
	}
	golden(t, "messages.txt", out.String())
}

// golden compares with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
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
		t.Errorf("%s differs from the recorded one", name)
	}
}

// TestMessageTable writes headers by hand from the table of SPEC.md §4.1, so
// that a wrong constant is not hidden by using it on both sides.
func TestMessageTable(t *testing.T) {
	for _, c := range []struct {
		header string
		length int // of data, bytes of 0x01 unless the header says otherwise
		ok     bool
	}{
		{"01 00 0001 0430 0000", 1072, true},
		{"01 00 0000 0001 0000", 1, false}, // DATA without stream
		{"01 01 0001 0001 0000", 1, false}, // flags
		{"01 00 0001 0000 0000", 0, false}, // empty DATA
		{"01 00 0001 0431 0000", 1073, false},
		{"01 00 0001 0001 0001", 1, false}, // reserved
		{"03 00 0001 0000 0000", 0, true},
		{"03 00 0001 0001 0000", 1, false},
		{"07 00 0000 0010 0000", 16, true},
		{"07 00 0001 0010 0000", 16, false}, // SENDME on a stream
		{"07 00 0000 000f 0000", 15, false},
		{"08 02 0000 0430 0000", 1072, true},
		{"08 12 0000 00d8 0000", 216, true},
		{"08 02 0000 00d8 0000", 216, false},
		{"08 00 0000 0430 0000", 1072, false},
		{"09 12 0000 0050 0000", 80, true},
		{"0a 00 0000 0001 0000", 1, true},
		{"0b 00 0000 0000 0000", 0, true},
		{"0b 00 0000 0001 0000", 1, false},
		{"0c 00 0000 0010 0000", 16, true},
		{"0e 00 0000 0430 0000", 1072, true},
		{"0e 00 0000 042f 0000", 1071, false},
		{"10 00 0000 0002 0000", 2, true},
		{"00 00 0000 0000 0000", 0, false},
		{"11 00 0000 0000 0000", 0, false},
		{"18 00 0000 0000 0000", 0, false}, // reserved
		{"40 00 0001 0004 0000", 4, true},
		{"40 00 0000 0004 0000", 4, false}, // mailbox without stream
		{"5f 00 0001 0000 0000", 0, true},
		{"60 00 0001 0000 0000", 0, false},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(c.header, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, PayloadSize(0))
		copy(p, b)
		for i := range c.length {
			p[8+i] = 1
		}
		_, err = ParseMessage(p)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.header, err)
		}
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v is no ErrFormat", c.header, err)
		}
		if !c.ok {
			continue
		}
		p[len(p)-1] = 1
		if _, err := ParseMessage(p); err == nil {
			t.Errorf("%s: padding not checked", c.header)
		}
	}
}

func TestMessageTruncatedAtEveryByte(t *testing.T) {
	for name, m := range messages() {
		p := make([]byte, PayloadSize(3))
		if err := m.Put(p); err != nil {
			t.Fatal(err)
		}
		for n := range 8 + len(m.Data) {
			if _, err := ParseMessage(p[:n]); err == nil {
				t.Fatalf("%s cut to %d bytes was accepted", name, n)
			}
		}
	}
}

// TestMessageTooLong gives a payload longer than any slot has; a fuzz run found
// that it caused a panic.
func TestMessageTooLong(t *testing.T) {
	p := make([]byte, 2*Size)
	if err := messages()["drop"].Put(p[:PayloadSize(0)]); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseMessage(p); !errors.Is(err, ErrFormat) {
		t.Errorf("error %v", err)
	}
}

func TestFragments(t *testing.T) {
	for _, ty := range []Type{Create, Created} {
		msg := bytes.Repeat([]byte{0xA5}, messageSize(ty))
		a, b := make([]byte, Size), bytes.Repeat([]byte{0xFF}, Size)
		PutFragments(a, b, ty, msg)
		as := Assembler{Type: ty}
		if _, done, err := as.Add(a); done || err != nil {
			t.Fatal(done, err)
		}
		got, done, err := as.Add(b)
		if err != nil || !done || !bytes.Equal(got, msg) {
			t.Fatalf("%v %v", done, err)
		}
		if _, _, err := as.Add(a); err == nil {
			t.Error("a third fragment was taken")
		}
		for name, order := range map[string][][]byte{"second first": {b}, "first twice": {a, a}} {
			as := Assembler{Type: ty}
			var err error
			for _, c := range order {
				_, _, err = as.Add(c)
			}
			if err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
		b[Size-1] = 1
		as = Assembler{Type: ty}
		as.Add(a)
		if _, _, err := as.Add(b); err == nil {
			t.Error("padding not checked")
		}
	}
	as := Assembler{Type: Create}
	c := make([]byte, Size)
	PutFragments(c, make([]byte, Size), Created, make([]byte, CreatedSize))
	if _, _, err := as.Add(c); err == nil {
		t.Error("a CREATED was taken for a CREATE")
	}
}

func TestExtendFragments(t *testing.T) {
	next := [32]byte{7}
	create := bytes.Repeat([]byte{3}, CreateSize)
	ms := SplitExtend(next, create)
	as := MessageAssembler{Command: Extend}
	if _, done, err := as.Add(ms[0]); done || err != nil {
		t.Fatal(err)
	}
	got, done, err := as.Add(ms[1])
	if err != nil || !done || !bytes.Equal(got, append(next[:], create...)) {
		t.Fatal(done, err)
	}
	created := bytes.Repeat([]byte{4}, CreatedSize)
	ms = SplitExtended(created)
	as = MessageAssembler{Command: Extended}
	as.Add(ms[0])
	if got, done, err := as.Add(ms[1]); err != nil || !done || !bytes.Equal(got, created) {
		t.Fatal(done, err)
	}
	if _, _, err := as.Add(ms[1]); err == nil {
		t.Error("a third message was taken")
	}
	as = MessageAssembler{Command: Extended}
	if _, _, err := as.Add(SplitExtend(next, create)[0]); err == nil {
		t.Error("an EXTEND was taken for an EXTENDED")
	}
}

func TestHeader(t *testing.T) {
	cell := func(h string) []byte {
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		return append(b, make([]byte, BodySize)...)
	}
	for h, ok := range map[string]bool{
		"00000000": true, "01000200": true, "01001200": true, "02000200": true, "03000000": true, "04000000": true,
		"05000000": true, "06000000": true, "07000000": false, "03010000": false, "03000200": false, "01000000": false,
		"01002200": false, "03000011": true, "03000012": false, "00000200": false,
	} {
		got, err := ParseHeader(cell(h))
		if (err == nil) != ok {
			t.Errorf("%s: %v", h, err)
			continue
		}
		if ok {
			b := make([]byte, HeaderSize)
			got.Put(b)
			if hex.EncodeToString(b) != h {
				t.Errorf("%s became %x", h, b)
			}
		}
	}
	c := cell("00000000")
	c[900] = 1
	if _, err := ParseHeader(c); err == nil {
		t.Error("a PAD with content was accepted")
	}
}

func TestOptions(t *testing.T) {
	for in, want := range map[string]string{
		"010102" + "0304004000ff" + "00000000000000": "ok",
		"01010303040040040000000000000000":           "ok",
		"03040040004000000000000000000000":           "ok",
		"02020a0b000000000000000000000000":           "ok", // unknown even type
		"00000000000000000000000000000000":           "ok",
		"01010400000000000000000000000000":           "slot",
		"01020000000000000000000000000000":           "slot",
		"03040040000f00000000000000000000":           "credit", // maximum below initial
		"03040010004000000000000000000000":           "credit", // initial below 32
		"03040040040100000000000000000000":           "credit", // above 1024
		"05010000000000000000000000000000":           "critical",
		"03040040004001010000000000000000":           "order",
		"01010101010200000000000000000000":           "order",
		"01ff0000000000000000000000000000":           "order",
		"00000000000000000000000000000001":           "padding",
	} {
		b, err := hex.DecodeString(in)
		if err != nil || len(b) != OptionsSize {
			t.Fatal(in, len(b), err)
		}
		o, err := ParseOptions(b)
		switch {
		case want == "ok" && err != nil:
			t.Errorf("%s: %v", in, err)
		case want != "ok" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want an error about %s", in, err, want)
		case err == nil && b[0] != 2 && !bytes.Equal(o.Append(nil), b):
			t.Errorf("%s became %x", in, o.Append(nil))
		}
	}
}

func testHello() Hello {
	return Hello{
		Lowest: 1, Highest: 1, Role: 1, Network: [32]byte{1, 2}, Time: 1_700_000_000,
		Identity: [32]byte{3, 4}, NotBefore: 1_699_000_000, NotAfter: 1_701_000_000, Proof: [64]byte{5, 6},
	}
}

func TestHello(t *testing.T) {
	body := make([]byte, BodySize)
	testHello().Put(body)
	golden(t, "hello.txt", hex.EncodeToString(bytes.TrimRight(body, "\x00"))+"\n")
	if got, err := ParseHello(body); err != nil || got != testHello() {
		t.Fatalf("%+v %v", got, err)
	}
	client := Hello{Lowest: 1, Highest: 1, Network: [32]byte{9}}
	client.Put(body)
	if got, err := ParseHello(body); err != nil || got != client {
		t.Fatalf("%+v %v", got, err)
	}
	for name, change := range map[string]func(*Hello){
		"client with time":     func(h *Hello) { h.Role = 0 },
		"role":                 func(h *Hello) { h.Role = 3 },
		"versions":             func(h *Hello) { h.Lowest = 2 },
		"version 0":            func(h *Hello) { h.Lowest = 0 },
		"profile of a relay":   func(h *Hello) { h.Profile = 1 },
		"proof ends too early": func(h *Hello) { h.NotAfter = h.NotBefore - 1 },
	} {
		h := testHello()
		change(&h)
		h.Put(body)
		if _, err := ParseHello(body); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	testHello().Put(body)
	for _, at := range []int{6, 7, 152, BodySize - 1} {
		body[at] = 1
		if _, err := ParseHello(body); err == nil {
			t.Errorf("byte %d is not checked", at)
		}
		body[at] = 0
	}
}

func TestShaping(t *testing.T) {
	for _, c := range []struct {
		body []byte
		want Shaping
		ok   bool
	}{
		{[]byte{0, 0, 0, 0}, Shaping{}, true},
		{[]byte{3, 0, 0, 0}, Shaping{Profile: 3}, true},
		{[]byte{2, 1, 0, 0}, Shaping{Profile: 2, Op: ShapeBurst}, true},
		{[]byte{2, 1, 0x02, 0x58}, Shaping{Profile: 2, Op: ShapeBurst, Seconds: 600}, true},
		{[]byte{1, 2, 0, 0}, Shaping{Profile: 1, Op: ShapeWarmUp}, true},
		{[]byte{4, 0, 0, 0}, Shaping{}, false},
		{[]byte{2, 3, 0, 0}, Shaping{}, false},
		{[]byte{2, 1, 0x02, 0x59}, Shaping{}, false},
		{[]byte{2, 0, 0, 1}, Shaping{}, false},
		{[]byte{2, 2, 1, 0}, Shaping{}, false},
		{[]byte{0, 1, 0, 9}, Shaping{}, false},
		{[]byte{0, 2, 0, 0}, Shaping{}, false},
		{[]byte{0, 0, 0, 0, 1}, Shaping{}, false},
	} {
		body := make([]byte, BodySize)
		copy(body, c.body)
		got, err := ParseShaping(body)
		if (err == nil) != c.ok || got != c.want || err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%x: %+v, %v", c.body, got, err)
			continue
		}
		if again := bytes.Repeat([]byte{0xff}, BodySize); c.ok {
			if got.Put(again); !bytes.Equal(again, body) {
				t.Errorf("%+v is not encoded as %x", got, c.body)
			}
		}
	}
	if _, err := ParseShaping(make([]byte, BodySize-1)); !errors.Is(err, ErrFormat) {
		t.Error("a short body is accepted")
	}
}
