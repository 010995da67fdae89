package phpstack

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// layout holds the offsets, in bytes, of fields in PHP's data structures that
// differ between releases.
//
// The structures are part of what extensions are compiled against, and a release
// that changes it raises ZEND_MODULE_API_NO (Zend/zend_modules.h). So the number by
// which PHP rejects an extension built for another release determines the layout.
// The offsets are for 64-bit machines and for builds that are neither thread-safe
// nor debug builds.
type layout struct {
	// current is the offset of current_execute_data in zend_executor_globals.
	current uint64

	// In zend_op_array: the number of opcodes, their address, and the file name.
	last, opcodes, filename uint64
}

// layouts are the known layouts, by API number. They were verified by offsetof with
// the headers of Debian's php-dev for amd64 and arm64 (7.4, 8.2, 8.4), with a running
// php-cgi on amd64 (7.4.33, 8.2.36, 8.3.8, 8.4.27, 8.5.2) and arm64 (8.4.27), and
// with gdb's struct dumps of builds for both (8.0, 8.1, 8.3, 8.5).
var layouts = map[int]layout{
	20190902: {current: 488, last: 60, opcodes: 64, filename: 136},  // PHP 7.4
	20200930: {current: 488, last: 68, opcodes: 72, filename: 144},  // PHP 8.0
	20210902: {current: 488, last: 68, opcodes: 72, filename: 144},  // PHP 8.1
	20220829: {current: 488, last: 80, opcodes: 88, filename: 152},  // PHP 8.2
	20230831: {current: 488, last: 76, opcodes: 80, filename: 144},  // PHP 8.3
	20240924: {current: 488, last: 96, opcodes: 104, filename: 168}, // PHP 8.4
	20250925: {current: 512, last: 96, opcodes: 104, filename: 168}, // PHP 8.5
}

// Offsets and sizes that are the same in all of these releases
// (Zend/zend_compile.h, zend.h, zend_types.h).
const (
	frameFunc   = 24 // zend_execute_data.func
	framePrev   = 48 // zend_execute_data.prev_execute_data
	frameHead   = 56 // bytes to read of a zend_execute_data; opline is at 0
	funcName    = 8  // zend_function.common.function_name; type is at 0
	funcScope   = 16 // zend_function.common.scope
	funcHead    = 24
	className   = 8  // zend_class_entry.name
	stringLen   = 16 // zend_string.len
	stringVal   = 24 // zend_string.val
	opcodeSize  = 32 // sizeof(zend_op)
	opcodeLine  = 24 // zend_op.lineno
	pointerSize = 8
)

// The values of zend_function.type.
const (
	internalFunction = 1
	userFunction     = 2
	evalCode         = 4
)

// buildID matches ZEND_MODULE_BUILD_ID: the API number, NTS or TS, and other build
// flags. The ID for Zend extensions begins with another digit and does not match.
var buildID = regexp.MustCompile(`API(20\d{6}),(N?TS)((?:,[0-9A-Za-z]+)*)\x00`)

// layoutOf returns the layout for a program.
func layoutOf(f *elf.File) (layout, error) {
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 && f.Machine != elf.EM_AARCH64 {
		return layout{}, unsupported("backtraces are not supported on %v (%v)", f.Machine, f.Class)
	}
	section := f.Section(".rodata")
	if section == nil || section.Size > maxRodata {
		return layout{}, unsupported("the program does not look like php-cgi")
	}
	data, err := section.Data()
	if err != nil {
		return layout{}, err
	}
	return layoutIn(data)
}

// maxRodata is more than any php-cgi has; Debian's has 1.6 MB.
const maxRodata = 64 << 20

// layoutIn returns the layout for the build ID among the constants of a program.
func layoutIn(rodata []byte) (layout, error) {
	for rest := rodata; ; {
		at := bytes.Index(rest, []byte("API20")) // much faster than matching buildID everywhere
		if at < 0 {
			return layout{}, unsupported("the program does not look like php-cgi")
		}
		m := buildID.FindSubmatch(rest[at:min(len(rest), at+64)])
		rest = rest[at+1:]
		if m == nil {
			continue
		}
		if string(m[2]) != "NTS" {
			return layout{}, ErrThreadSafe
		}
		api, _ := strconv.Atoi(string(m[1])) // matched as digits
		l, ok := layouts[api]
		if !ok || len(m[3]) > 0 {
			return layout{}, unsupported("backtraces are not supported for this build of PHP (API %s,%s%s)", m[1], m[2], m[3])
		}
		return l, nil
	}
}

// unsupported returns an error that wraps errors.ErrUnsupported.
func unsupported(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errors.ErrUnsupported)...)
}
