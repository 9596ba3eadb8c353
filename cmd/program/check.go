package program

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// Results of a check.
const (
	ResultOK      = "ok"
	ResultWarning = "warning"
	ResultFailed  = "failed"
	ResultSkipped = "skipped"
)

// Implementation constants of the checks.
const (
	leastBuffer = 2 << 20 // bytes of a socket's buffers; QUIC asks for 7 MiB
	leastFiles  = 4096    // open files: one for each disk file and socket, with room
)

// check is one thing that was looked at.
type check struct {
	V      int    `json:"v"`
	Type   string `json:"type"` // check
	Name   string `json:"name"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// Checker prints checks and remembers how they ended.
type Checker struct {
	Out  io.Writer
	JSON bool
	Code int // of the first failure
}

// Say prints a check. The code counts if it failed.
func (c *Checker) Say(name, result, detail, fix string, code int) {
	if result == ResultFailed && c.Code == 0 {
		c.Code = code
	}
	if c.JSON {
		_ = PrintJSON(c.Out, check{1, "check", name, result, detail, fix})
		return
	}
	fmt.Fprintf(c.Out, "%-8s %-9s %s\n", result, name, detail)
	if fix != "" {
		fmt.Fprintf(c.Out, "%18s fix: %s\n", "", fix)
	}
}

// Fail prints the error of a check with its hint.
func (c *Checker) Fail(name string, err error) {
	code, hint := ExitFailure, ""
	if e := (*Error)(nil); errors.As(err, &e) {
		code, hint = e.Code, e.Hint
	}
	c.Say(name, ResultFailed, ErrorText(err), hint, code)
}

// Port tries to bind an address, and looks at the buffer that the system gives.
func (c *Checker) Port(name string, at *net.UDPAddr) {
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		c.Say(name, ResultFailed, "cannot be bound: "+PlainNetError(err), "another program has the port, or the address is none of this computer's", ExitFailure)
		return
	}
	defer conn.Close()
	size, err := bufferSize(conn)
	if err != nil || size >= leastBuffer {
		c.Say(name, ResultOK, "can be bound", "", 0)
		return
	}
	c.Say(name, ResultWarning, fmt.Sprintf("can be bound; the system gives its socket a buffer of %d KiB", size>>10), "sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000", 0)
}

// Files looks at how many files the process may open.
func (c *Checker) Files() {
	if n, ok := openFiles(); ok && n < leastFiles {
		c.Say("files", ResultWarning, fmt.Sprintf("%d open files at most", n), fmt.Sprintf("LimitNOFILE=%d in the unit, or ulimit -n", 16*leastFiles), 0)
	} else if ok {
		c.Say("files", ResultOK, fmt.Sprintf("%d open files at most", n), "", 0)
	}
}

// PlainNetError is the reason alone: the text of a network error names addresses.
func PlainNetError(err error) string {
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err.Error()
	}
	return "the system refuses it"
}

// NearestDir returns dir, or what is there of the path to it.
func NearestDir(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
