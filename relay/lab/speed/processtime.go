package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// processTime returns the CPU time of another process in steps of 10 ms where
// Linux tells, else 0.
func processTime(pid int) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in brackets, may hold spaces; user and system time are the
	// 12th and 13th field behind it.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	total := time.Duration(0)
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0
		}
		total += time.Duration(n) * 10 * time.Millisecond
	}
	return total
}
