<?php
way_usleep(); // leaf
