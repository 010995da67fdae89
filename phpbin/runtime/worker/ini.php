<?php
/*
 * Values of php.ini.
 */

final class PhpPoolIni
{
    /** Returns a size like "8M" in bytes. */
    public static function bytes(string $name): int
    {
        $value = trim((string) ini_get($name));
        $factor = ['k' => 1 << 10, 'm' => 1 << 20, 'g' => 1 << 30][strtolower(substr($value, -1))] ?? 1;
        return (int) $value * $factor;
    }

    /** Reports whether a setting like display_errors is on. */
    public static function isOn(string $name): bool
    {
        return in_array(strtolower((string) ini_get($name)), ['1', 'on', 'yes', 'true', 'stdout'], true);
    }
}
