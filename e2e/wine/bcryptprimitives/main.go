// Command bcryptprimitives writes bcryptprimitives.dll, which Go's programs need since Go 1.22
// and Wine lacks before version 9. The DLL has no code: its only function, ProcessPrng, is that
// of another DLL of Wine.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
)

const (
	sectionAddress = 0x1000 // in memory
	fileAlignment  = 0x200
	directorySize  = 40
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bcryptprimitives <file>")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], dll(), 0o600); err != nil { //nolint:gosec // the caller names the file
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// dll returns a DLL with one section, the table of its exports (PE format, Microsoft's "PE
// Format", sections 2, 3 and 6.3).
func dll() []byte {
	exports := exportTable("bcryptprimitives.dll", "ProcessPrng", "advapi32.SystemFunction036")
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&b, binary.LittleEndian, v) // to memory
		}
	}
	put([]byte("MZ"), make([]byte, 58), uint32(0x40), []byte("PE\x00\x00"))
	// COFF header: x86-64, 1 section, no symbols; a DLL with large addresses
	put(uint16(0x8664), uint16(1), uint32(0), uint32(0), uint32(0), uint16(240), uint16(0x2022))
	// optional header, PE32+: linker, sizes, no entry point
	put(uint16(0x20b), uint16(14), uint32(0), uint32(fileAlignment), uint32(0), uint32(0), uint32(sectionAddress))
	put(uint64(0x6_a000_0000), uint32(sectionAddress), uint32(fileAlignment)) // where it is loaded
	put(uint16(6), uint16(0), uint16(0), uint16(0), uint16(6), uint16(0), uint32(0))
	put(uint32(2*sectionAddress), uint32(fileAlignment), uint32(0), uint16(3), uint16(0x160)) // sizes; for consoles
	put(uint64(0x10_0000), uint64(0x1000), uint64(0x10_0000), uint64(0x1000), uint32(0), uint32(16))
	put(uint32(sectionAddress), uint32(len(exports)), make([]byte, 15*8)) // directories: the first has the exports
	put([]byte(".edata\x00\x00"), uint32(fileAlignment), uint32(sectionAddress), uint32(fileAlignment), uint32(fileAlignment))
	put(uint32(0), uint32(0), uint16(0), uint16(0), uint32(0x4000_0040)) // readable data
	b.Write(make([]byte, fileAlignment-b.Len()))
	b.Write(exports)
	b.Write(make([]byte, 2*fileAlignment-b.Len()))
	return b.Bytes()
}

// exportTable returns a table with one function, which is another one in another DLL.
func exportTable(dll, function, other string) []byte {
	const functions, names, ordinals, texts = directorySize, directorySize + 4, directorySize + 8, directorySize + 12
	address := func(offset int) uint32 { return uint32(sectionAddress + offset) }
	dllAt := texts
	functionAt := dllAt + len(dll) + 1
	otherAt := functionAt + len(function) + 1
	var b bytes.Buffer
	for _, v := range []any{
		uint32(0), uint32(0), uint32(0), address(dllAt), uint32(1), uint32(1), uint32(1),
		address(functions), address(names), address(ordinals),
		address(otherAt), address(functionAt), uint32(0), // one ordinal of 2 bytes, and padding
		[]byte(dll + "\x00" + function + "\x00" + other + "\x00"),
	} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	return b.Bytes()
}
