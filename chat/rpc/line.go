package rpc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Specification constants (SPEC.md §1, §4).
const (
	version     = 1       // "v" of the interface
	maxLine     = 1 << 20 // bytes of one line without its end; stops a peer from filling memory
	jsonVersion = "2.0"
	codeParse   = -32700
	codeRequest = -32600
	codeMethod  = -32601
	codeParams  = -32602
	codeFailed  = -32000 // data holds kind and hint
)

// errLineTooLong is returned by readLine, which has then skipped the line.
var errLineTooLong = errors.New("line longer than 1 MiB")

// request is one parsed line.
type request struct {
	id     json.RawMessage // nil: a notification, which gets no answer
	method string
	params map[string]json.RawMessage
}

// answerError is the error member of an answer.
type answerError struct {
	Code    int        `json:"code"`
	Message string     `json:"message"`
	Data    *errorData `json:"data,omitempty"`
}

type errorData struct {
	Kind string `json:"kind"`
	Hint string `json:"hint"`
}

func (e *answerError) Error() string { return e.Message }

func refuse(code int, format string, args ...any) *answerError {
	return &answerError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// readLine returns the next line without its end. A last line without newline
// counts. It fails with io.EOF at the end of the input and with errLineTooLong
// after having skipped a longer line.
func readLine(r *bufio.Reader, longest int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(bytes.TrimSuffix(part, []byte("\n"))) > longest {
			return nil, skipLine(r, err)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		default:
			return nil, err
		}
	}
}

func skipLine(r *bufio.Reader, err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return errLineTooLong
}

// parseRequest parses one line. If it fails, the request still holds the id as
// far as it could be read, for the answer.
func parseRequest(line []byte) (request, *answerError) {
	var req request
	if !utf8.Valid(line) || !json.Valid(line) {
		return req, refuse(codeParse, "parse error")
	}
	line = bytes.TrimSpace(line)
	if line[0] == '[' {
		return req, refuse(codeRequest, "batches are refused")
	}
	members, ok := object(line)
	if !ok {
		return req, refuse(codeRequest, "a request is an object without repeated members")
	}
	var badID bool
	if id, ok := members["id"]; ok {
		switch id[0] {
		case '{', '[', 't', 'f':
			badID = true
		default:
			req.id = id
		}
	}
	var v string
	if err := json.Unmarshal(members["jsonrpc"], &v); err != nil || v != jsonVersion || badID {
		return req, refuse(codeRequest, "not a JSON-RPC 2.0 request")
	}
	if m := members["method"]; len(m) == 0 || m[0] != '"' || json.Unmarshal(m, &req.method) != nil {
		return req, refuse(codeRequest, "method is missing")
	}
	for name := range members {
		switch name {
		case "id", "jsonrpc", "method", "params":
		default:
			return req, refuse(codeRequest, "unknown member of the request")
		}
	}
	if p, ok := members["params"]; ok {
		if req.params, ok = object(p); !ok {
			return req, refuse(codeParams, "params must be an object without repeated members")
		}
	}
	return req, nil
}

// object splits a JSON object into its members. Unlike encoding/json it tells
// repeated members, and it knows names by exact spelling.
func object(raw []byte) (map[string]json.RawMessage, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	members := make(map[string]json.RawMessage)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, false
		}
		name, ok := t.(string)
		if _, again := members[name]; !ok || again {
			return nil, false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, false
		}
		members[name] = value
	}
	return members, true
}

// arguments reads the parameters of one method; the first error stays.
type arguments struct {
	params map[string]json.RawMessage
	used   int
	err    *answerError
}

func (a *arguments) text(name string, required bool) string {
	var s string
	a.read(name, required, &s)
	return s
}

func (a *arguments) number(name string, lowest, highest, otherwise uint64) uint64 {
	n := otherwise
	a.read(name, false, &n)
	if a.err == nil && (n < lowest || n > highest) {
		a.err = refuse(codeParams, "%s must be from %d to %d", name, lowest, highest)
	}
	return n
}

func (a *arguments) read(name string, required bool, into any) {
	raw, ok := a.params[name]
	if !ok {
		if required && a.err == nil {
			a.err = refuse(codeParams, "%s is missing", name)
		}
		return
	}
	a.used++
	if a.err == nil && (string(raw) == "null" || json.Unmarshal(raw, into) != nil) {
		a.err = refuse(codeParams, "%s has the wrong type", name)
	}
}

// done returns the error of the arguments, unknown parameters included.
func (a *arguments) done() *answerError {
	if a.err == nil && a.used != len(a.params) {
		a.err = refuse(codeParams, "unknown parameter")
	}
	return a.err
}
