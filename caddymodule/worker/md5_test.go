package worker_test

import "crypto/md5"

func md5sum(text string) [md5.Size]byte { return md5.Sum([]byte(text)) }
