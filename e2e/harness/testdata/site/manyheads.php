<?php
for ($i = 0; $i < 500; $i++) {
    header("X-Many: $i", false);
}
setcookie('a', '1');
setcookie('b', '2');
