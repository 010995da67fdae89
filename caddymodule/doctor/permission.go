package doctor

import (
	"os"
	"strings"
)

// directories checks that PHP can write to the directories for uploads and sessions.
func (c *check) directories() {
	temp := c.setting("sys_temp_dir")
	if temp == "" {
		temp = os.TempDir()
	}
	uploads := c.setting("upload_tmp_dir")
	if uploads == "" {
		uploads = temp
	}
	c.writable("upload_tmp_dir", uploads)
	if c.setting("session.save_handler") != "files" {
		return
	}
	// "N;MODE;/path": php's ext/session/mod_files.c.
	sessions := c.setting("session.save_path")
	sessions = sessions[strings.LastIndexByte(sessions, ';')+1:]
	if sessions == "" {
		sessions = temp
	}
	c.writable("session.save_path", sessions)
}

// writable checks the directory of one directive.
func (c *check) writable(directive, dir string) {
	if err := checkWritable(dir, c.options.Credential); err != nil {
		c.problem("give PHP's user write permission, or write `ini "+directive+" <dir>` with a directory that it owns",
			"PHP cannot write to %s (%s): %v", dir, directive, err)
		return
	}
	c.ok("PHP can write to %s (%s)", dir, directive)
}
