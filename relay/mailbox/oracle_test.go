package mailbox

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
)

// oracleLayouts are the tables of SPEC.md in one line each: name:size for a
// number, name=size for bytes, 0:size for zeros. Names are those of the fields
// in the code, so that what both read can be compared.
var oracleLayouts = map[string]string{
	"OPEN":        "Version:1 0:3",
	"HELLO":       "version:1 Draining:1 Window:1 WorkBits:1 Nonce=32 Custody.Key=32 Custody.NotBefore:4 Custody.NotAfter:4 Custody.Sig=64",
	"NEW":         "Kind:1 0:1 TTL:2 RPK=32 Cap=32 LID=24 Work:8 Sig=64",
	"SUB":         "RID=24 After:8 Window:1 Push:1 0:2 Sig=64",
	"MSG":         "RID=24 Seq:8 Backlog:2 Work:1 0:1 0:12 Block=1024",
	"ACK":         "RID=24 Seq:8",
	"SEND":        "SID=24 ID=8 MAC=16 Block=1024",
	"OK":          "Command:1 0:1 0:2",
	"OK-NEW":      "command:1 0:1 Capacity:2 TTL:2 0:2 RID=24 SID=24",
	"OK-SUB":      "command:1 0:1 0:2 RID=24 Lowest:8 Next:8 Opens:2 0:2",
	"OK-SEND":     "command:1 0:1 0:2 ID=8 Stored:4 Until:4 Receipt=64",
	"ERR":         "Command:1 Code:1 Argument:2 Reference=8",
	"LIST":        "RID=24 After:8",
	"IDS":         "RID=24 First:8 count:2 0:14",
	"SETLINK":     "RID=24 Part:1 parts:1 0:22 Chunk=1024",
	"GETLINK":     "LID=24 Reader=32",
	"LINK":        "Part:1 parts:1 Opens:2 0:44 Chunk=1024",
	"WORK":        "SID=24 Bits:1 0:7 Counter:8",
	"ROTCAP":      "RID=24 Cap=32 Sig=64",
	"DEL":         "RID=24 Sig=64",
	"END":         "RID=24 Reason:1 0:7",
	"PUT":         "Part:1 parts:1 0:6 Work:8 Chunk=720",
	"GET":         "Key=32 Period:8",
	"RECORD":      "Part:1 parts:1 0:6 0:8 Chunk=720",
	"CERTIFICATE": "Key=32 NotBefore:4 NotAfter:4 Sig=64",
	"RECEIPT":     "Relay=32 Custody.Key=32 Custody.NotBefore:4 Custody.NotAfter:4 Custody.Sig=64 SID=24 ID=8 BlockHash=32 Stored:4 Until:4 Sig=64",
	"ROW":         "version:1 kind:1 deleted:1 0:1 ttl:2 opens:2 rpk=32 cap=32 lid=24 reader=32 created:4 seen:4 last:4 ended:4 life:4 lowest:8 next:8",
}

// oracleRead reads the data of a command, or a row, by the tables alone; false
// if it is malformed. Lower-case names that the code does not keep are checked
// and left out.
func oracleRead(name string, d []byte) (map[string]string, bool) {
	text, num := map[string]string{}, map[string]uint64{}
	for _, field := range strings.Fields(oracleLayouts[name]) {
		at := strings.IndexAny(field, ":=")
		n, _ := strconv.Atoi(field[at+1:])
		if len(d) < n {
			return nil, false
		}
		v := d[:n]
		d = d[n:]
		switch key := field[:at]; {
		case key == "0":
			if strings.Trim(string(v), "\x00") != "" {
				return nil, false
			}
		case field[at] == '=':
			text[key] = hex.EncodeToString(v)
		default:
			for _, c := range v {
				num[key] = num[key]<<8 | uint64(c)
			}
			text[key] = strconv.FormatUint(num[key], 10)
		}
	}
	if name == "IDS" {
		var ids []string
		for len(d) >= 8 {
			ids = append(ids, hex.EncodeToString(d[:8]))
			d = d[8:]
		}
		if text["IDs"] = strings.Join(ids, " "); num["count"] != uint64(len(ids)) {
			return nil, false
		}
	}
	if len(d) != 0 || !oracleAllows(name, num, text) {
		return nil, false
	}
	for _, key := range []string{"version", "parts", "count", "command"} {
		delete(text, key)
	}
	return text, true
}

// oracleAllows holds the rules beside the tables.
func oracleAllows(name string, num map[string]uint64, text map[string]string) bool {
	zero := func(key string) bool { return strings.Trim(text[key], "0") == "" }
	switch name {
	case "HELLO":
		return num["version"] == 1 && num["Draining"] <= 1 && num["Window"] > 0
	case "SUB":
		if num["Push"] == 1 {
			return num["Window"] >= 1 && num["Window"] <= 16
		}
		return num["Push"] == 0 && num["Window"] <= 64
	case "MSG":
		return num["Seq"] > 0
	case "OK":
		return strings.Contains(" 75 78 79 80 82 ", " "+text["Command"]+" ")
	case "OK-NEW":
		return num["command"] == 0x42
	case "OK-SUB":
		return num["command"] == 0x43 && num["Lowest"] >= 1 && num["Lowest"] <= num["Next"]
	case "OK-SEND":
		return num["command"] == 0x46
	case "ERR":
		// Of what has no reply (ACK) or comes from the relay there is none.
		replied := strings.Contains(" 64 66 67 70 73 75 76 78 79 80 82 83 ", " "+text["Command"]+" ")
		argument := num["Argument"] == 0 || num["Code"] == 3 || num["Code"] == 4 || num["Code"] == 6
		return replied && num["Code"] >= 1 && num["Code"] <= 9 && argument && (num["Command"] == 0x46 || zero("Reference"))
	case "IDS":
		return num["count"] <= 128 && (num["count"] == 0) == (num["First"] == 0) && num["First"] <= 1<<63
	case "SETLINK", "LINK":
		return num["Part"] <= 1 && num["parts"] == 2
	case "END":
		return num["Reason"] >= 1 && num["Reason"] <= 3
	case "PUT":
		return num["Part"] <= 2 && num["parts"] == 3 && (num["Part"] == 2 || num["Work"] == 0)
	case "RECORD":
		return num["Part"] <= 2 && num["parts"] == 3
	case "ROW":
		return num["version"] == 1 && num["kind"] <= 4 && num["deleted"] <= 1 && num["lowest"] >= 1 && num["lowest"] <= num["next"]
	}
	return true
}

// oracleAuth tells whether the authenticator in the data of a command holds
// (SPEC.md §4.1); key is the owner's public key, or the capability.
func oracleAuth(command byte, network, relay, nonce []byte, counter uint64, key, d []byte) bool {
	text := append([]byte("hearsay/1 mbox\x00"), network...)
	text = append(append(text, relay...), nonce...)
	text = append(binary.BigEndian.AppendUint64(text, counter), command)
	if command != 0x46 {
		return ed25519.Verify(key, append(text, d[:len(d)-64]...), d[len(d)-64:])
	}
	block := sha256.Sum256(d[48:])
	m := hmac.New(sha256.New, key)
	m.Write(text)
	m.Write(d[:32])
	m.Write(block[:])
	return bytes.Equal(m.Sum(nil)[:16], d[32:48])
}

// oracleReceipt tells whether a receipt in its form on disk holds at a time
// (SPEC.md §6).
func oracleReceipt(network, d []byte, now uint64) bool {
	relay, key, rest := d[:32], d[32:64], d[136:]
	before, after := uint64(binary.BigEndian.Uint32(d[64:])), uint64(binary.BigEndian.Uint32(d[68:]))
	stored, until := uint64(binary.BigEndian.Uint32(rest[64:])), uint64(binary.BigEndian.Uint32(rest[68:]))
	certificate := append(append([]byte("hearsay/1 custody cert\x00"), network...), d[32:72]...)
	custody := append(append(append([]byte("hearsay/1 custody\x00"), network...), relay...), rest[:72]...)
	return before < after && after-before <= 30*86400 && before <= now && now < after &&
		ed25519.Verify(relay, certificate, d[72:136]) &&
		stored < until && until-stored <= 720 &&
		ed25519.Verify(key, custody, rest[72:136])
}
