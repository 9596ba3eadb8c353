package gossip

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

var update = flag.Bool("update", false, "write the golden vectors anew")

const vectorFile = "testdata/vectors.txt"

// codecs parse a message body and encode it again.
var codecs = map[string]func(b []byte) ([]byte, error){
	"hello": func(b []byte) ([]byte, error) {
		h, err := parseHello(b)
		return h.append(nil), err
	},
	"ranges": func(b []byte) ([]byte, error) {
		spans, err := parseRanges(b)
		return appendRanges(nil, spans), err
	},
	"want": func(b []byte) ([]byte, error) {
		keys, err := parseWant(b)
		return appendWant(nil, keys), err
	},
	"give": func(b []byte) (out []byte, err error) {
		records, err := parseGive(b)
		for _, r := range records {
			out = appendGive(out, r)
		}
		return out, err
	},
	"have": func(b []byte) (out []byte, err error) {
		haves, err := parseHave(b)
		for _, h := range haves {
			out = h.append(out)
		}
		return out, err
	},
	"bye": func(b []byte) ([]byte, error) {
		code, retry, err := parseBye(b)
		return appendBye(nil, code, retry), err
	},
	"verdict": func(b []byte) (out []byte, err error) {
		vs, err := parseVerdict(b)
		for _, v := range vs {
			out = v.append(out)
		}
		return out, err
	},
	"snapshot request": func(b []byte) ([]byte, error) {
		r, err := parseSnapshotRequest(b)
		return r.append(nil), err
	},
	"proof request": func(b []byte) ([]byte, error) {
		r, err := parseProofRequest(b)
		return r.append(nil), err
	},
	"files": func(b []byte) ([]byte, error) {
		raws, err := parseFiles(b)
		return appendFiles(nil, raws), err
	},
	"snapshot diff": func(b []byte) ([]byte, error) {
		head, diff, err := parseDiffAnswer(b)
		return appendDiffAnswer(nil, head, diff), err
	},
	"leaves": func(b []byte) ([]byte, error) {
		ls, err := parseLeaves(b)
		return appendLeaves(nil, ls), err
	},
	"notices": func(b []byte) ([]byte, error) {
		ns, err := parseNotices(b)
		var out []byte
		for _, n := range ns {
			out = appendNotice(out, n)
		}
		return out, err
	},
	"witness": func(b []byte) ([]byte, error) {
		hash, w, err := parseWitness(b)
		if err != nil {
			return nil, err
		}
		return appendWitness(nil, hash, w), nil
	},
	"board": func(b []byte) ([]byte, error) {
		mode, ids, err := parseBoard(b)
		return appendBoard(nil, mode, ids), err
	},
	"frames": func(b []byte) ([]byte, error) {
		r := frameReader{r: bytes.NewReader(b)}
		var out []byte
		for r.r.(*bytes.Reader).Len() > 0 {
			m, err := r.next()
			if err != nil {
				return nil, err
			}
			out = appendMessage(out, m.typ, m.body)
		}
		return out, nil
	},
}

// vector is a line of the vector file: kind | name | ok or refused | hex.
type vector struct {
	kind, name, expect string
	data               []byte
}

// makeVectors builds every message from fixed values.
func makeVectors() []vector {
	seq := func(n int, from byte) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = from + byte(i)
		}
		return b
	}
	h := hello{
		role: RoleDirectory, network: directory.NetworkID(seq(32, 1)), time: time.UnixMilli(1_800_000_000_123),
		fileVersion: 2, epoch: 30_000_000, headerHash: [32]byte(seq(32, 40)), logSize: 77, logRoot: [32]byte(seq(32, 80)),
		count: 9, fingerprint: fingerprint(seq(16, 120)),
	}.append(nil)
	items := []item{{key(seq(16, 1)), digest(seq(16, 50))}, {key(seq(16, 9)), digest(seq(16, 70))}, {key(seq(16, 200)), digest(seq(16, 90))}}
	short := func(items []item) (out []item) {
		for _, it := range items {
			s := item{key: it.key.short().wildcard()}
			copy(s.digest[:8], it.digest[:8])
			out = append(out, s)
		}
		return out
	}
	ranges := appendRanges(nil, []span{
		{end: bound{1, key{5}}},
		{end: bound{2, key{9, 10}}, mode: modeFingerprint, fp: fingerprintOf(items[:1])},
		{end: bound{1, key{100}}, mode: modeShort, list: short(items[1:2])},
		{mode: modeLong, list: items[2:]},
	})
	change := func(b []byte, at int, to byte) []byte {
		b = bytes.Clone(b)
		b[at] = to
		return b
	}
	return []vector{
		{"hello", "directory", "ok", h},
		{"hello", "short", "refused", h[:147]},
		{"hello", "long", "refused", append(bytes.Clone(h), 0)},
		{"hello", "protocol 2", "refused", change(h, 0, 2)},
		{"hello", "role client", "refused", change(h, 1, 0)},
		{"hello", "reserved set", "refused", change(h, 3, 1)},
		{"hello", "time out of range", "refused", change(h, 36, 0xff)},
		{"ranges", "all modes", "ok", ranges},
		{"ranges", "empty set", "ok", appendRanges(nil, openRanges(nil))},
		{"ranges", "nothing to say", "ok", []byte{0, 0}},
		{"ranges", "one list", "ok", appendRanges(nil, []span{{mode: modeShort, list: short(items)}})},
		{"ranges", "cut", "refused", ranges[:len(ranges)-1]},
		{"ranges", "two ends", "refused", []byte{0, 0, 0, 0}},
		{"ranges", "no end", "refused", []byte{1, 5, 0}},
		{"ranges", "bounds fall", "refused", []byte{1, 5, 0, 1, 4, 1}},
		{"want", "a key and a wildcard", "ok", appendWant(nil, []key{items[0].key, items[1].key.short().wildcard()})},
		{"want", "empty", "refused", nil},
		{"want", "half a key", "refused", seq(24, 0)},
		{"give", "two records", "ok", appendGive(appendGive(nil, seq(20, 3)), seq(200, 9))},
		{"give", "none", "ok", nil},
		{"give", "length 0", "refused", []byte{0, 0}},
		{"give", "cut", "refused", []byte{0, 3, 1, 2}},
		{"give", "too long", "refused", appendGive(nil, seq(1025, 0))},
		{"have", "one", "ok", have{shortKey(seq(8, 1)), 1_800_000_000, shortDigest(seq(8, 30))}.append(nil)},
		{"have", "highest number", "ok", have{shortKey(seq(8, 1)), 1<<40 - 1, shortDigest(seq(8, 30))}.append(nil)},
		{"have", "cut", "refused", seq(20, 0)},
		{"bye", "busy", "ok", appendBye(nil, ByeBusy, time.Minute)},
		{"bye", "unknown code", "refused", []byte{6, 0, 0}},
		{"bye", "long", "refused", []byte{0, 0, 0, 0}},
		{"verdict", "token", "ok", verdict{items[0].key, VerdictToken}.append(nil)},
		{"verdict", "unknown code", "refused", verdict{items[0].key, verdictLast + 1}.append(nil)},
		{"snapshot request", "newest", "ok", snapshotRequest{}.append(nil)},
		{"snapshot request", "short", "refused", seq(39, 0)},
		{"proof request", "from 7 to 9", "ok", proofRequest{7, 9, 7}.append(nil)},
		{"proof request", "short", "refused", seq(23, 0)},
		{"files", "two versions", "ok", appendFiles(nil, [][]byte{seq(5, 1), seq(7, 2)})},
		{"files", "cut", "refused", appendFiles(nil, [][]byte{seq(5, 1)})[:8]},
		{"files", "empty version", "refused", []byte{0, 0, 0, 0}},
		{"leaves", "two", "ok", seq(64, 0)},
		{"leaves", "cut", "refused", seq(63, 0)},
		{"snapshot diff", "one unit", "ok", appendDiffAnswer(nil, seq(9, 1), seq(7, 2))},
		{"snapshot diff", "no padding", "refused", appendDiffAnswer(nil, seq(9, 1), seq(7, 2))[:25]},
		{"snapshot diff", "padding not zero", "refused", change(appendDiffAnswer(nil, seq(9, 1), seq(7, 2)), 4095, 1)},
		{"snapshot diff", "full snapshot", "refused", change(appendDiffAnswer(nil, seq(9, 1), seq(7, 2)), 0, snapshotFull)},
		{"snapshot diff", "head too long", "refused", change(appendDiffAnswer(nil, seq(9, 1), seq(7, 2)), 3, 0xff)},
		{"notices", "two", "ok", appendNotice(appendNotice(nil, notice{noticeEvidence, seq(3, 1)}), notice{noticeSuccessor, seq(2, 9)})},
		{"notices", "unknown kind", "refused", []byte{3, 0, 0, 0, 1, 7}},
		{"notices", "empty notice", "refused", []byte{1, 0, 0, 0, 0}},
		{"notices", "cut", "refused", []byte{1, 0, 0, 0, 2, 7}},
		{"notices", "successor too long", "refused", append([]byte{2, 0, 0, 8, 1}, seq(2049, 0)...)},
		{"witness", "one", "ok", appendWitness(nil, [32]byte{1}, directory.Witness{Relay: directory.RelayID{2}, Time: time.Unix(1_800_000_000, 0), Signature: [64]byte{3}})},
		{"witness", "cut", "refused", seq(135, 0)},
		{"witness", "time out of range", "refused", seq(136, 0)},
		{"board", "holds two", "ok", append([]byte{0}, seq(64, 1)...)},
		{"board", "asks for one", "ok", append([]byte{1}, seq(32, 9)...)},
		{"board", "none", "refused", []byte{0}},
		{"board", "cut", "refused", append([]byte{0}, seq(63, 1)...)},
		{"board", "unknown mode", "refused", append([]byte{2}, seq(32, 1)...)},
		{"frames", "two messages", "ok", appendMessage(appendMessage(nil, TypeBye, appendBye(nil, ByeDone, 0)), TypeHave, seq(21, 0))},
		{"frames", "unknown type", "refused", []byte{0x7f, 0, 0, 0}},
		{"frames", "unknown flag", "refused", []byte{0x06, 2, 0, 3, 0, 0, 0}},
		{"frames", "continued but not full", "refused", []byte{0x02, 1, 0, 2, 0, 0, 0x02, 0, 0, 2, 0, 0}},
		{"frames", "longer than its type", "refused", []byte{0x06, 0, 0, 4, 0, 0, 0, 0}},
		{"frames", "cut", "refused", []byte{0x06, 0, 0, 3, 0, 0}},
	}
}

func TestVectors(t *testing.T) {
	if *update {
		var b strings.Builder
		b.WriteString("# kind | name | ok or refused | bytes\n")
		for _, v := range makeVectors() {
			fmt.Fprintf(&b, "%s | %s | %s | %x\n", v.kind, v.name, v.expect, v.data)
		}
		check(t, os.MkdirAll("testdata", 0o755))
		check(t, os.WriteFile(vectorFile, []byte(b.String()), 0o644))
	}
	text, err := os.ReadFile(vectorFile)
	check(t, err)
	made := makeVectors()
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		part := strings.Split(line, " | ")
		if len(part) == 3 { // no bytes: the space after the bar is trimmed by editors
			part[2] = strings.TrimSuffix(part[2], " |")
			part = append(part, "")
		}
		data, err := hex.DecodeString(strings.TrimSpace(part[3]))
		check(t, err)
		if v := made[i]; v.kind != part[0] || v.name != part[1] || v.expect != part[2] || !bytes.Equal(v.data, data) {
			t.Errorf("%s, %s: is built otherwise now", part[0], part[1])
		}
		out, err := codecs[part[0]](data)
		switch {
		case part[2] == "ok" && err != nil:
			t.Errorf("%s, %s: %v", part[0], part[1], err)
		case part[2] == "ok" && !bytes.Equal(out, data):
			t.Errorf("%s, %s: encodes again to %x", part[0], part[1], out)
		case part[2] == "refused" && err == nil:
			t.Errorf("%s, %s: accepted", part[0], part[1])
		}
	}
	if len(made) != len(strings.Split(strings.TrimSpace(string(text)), "\n"))-1 {
		t.Error("the file has another number of vectors")
	}
}
