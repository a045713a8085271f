#!/usr/bin/perl
# Writes a GeoIP database, with MaxMind's own writer.
#
#     mmdb.pl FILE KIND [OPTION=VALUE...] < LINES
#
# A line is a network and what is known of it; "-" stands for nothing:
#
#     country   192.0.2.0/24 COUNTRY CONTINENT [REGISTERED-COUNTRY]
#     asn       192.0.2.0/24 NUMBER
#     other     192.0.2.0/24 WORD      a database that tells something else
#
# Options: built (unix time, now), ip_version (6), record_size (24, 28 or 32; 28). What a later line says of an address
# counts. A database of IPv6 leads 2002::/16 and the like back to IPv4, as those that one can get do.

use strict;
use warnings;

use MaxMind::DB::Writer::Tree;

my %options = (built => time, ip_version => 6, record_size => 28);

my ($file, $kind, @given) = @ARGV;
for my $option (@given) {
    my ($name, $value) = $option =~ /^(\w+)=(\d+)$/ or die "no option: $option\n";
    exists $options{$name} or die "no such option: $name\n";
    $options{$name} = $value;
}

my %types = (
    country => 'map',
    registered_country => 'map',
    continent => 'map',
    names => 'map',
    iso_code => 'utf8_string',
    code => 'utf8_string',
    en => 'utf8_string',
    geoname_id => 'uint32',
    autonomous_system_number => 'uint32',
    autonomous_system_organization => 'utf8_string',
    color => 'utf8_string',
);

sub named {
    my ($key, $code) = @_;
    return $code eq '-' ? () : ($key => $code, geoname_id => 1, names => { en => "Name of $code" });
}

my %kinds = (
    country => [
        'GeoLite2-Country',
        sub {
            my ($country, $continent, $registered) = @_;
            return {
                continent => { named('code', $continent // '-') },
                country => { named('iso_code', $country) },
                registered_country => { named('iso_code', $registered // '-') },
            };
        },
    ],
    asn => [
        'GeoLite2-ASN',
        sub { return { autonomous_system_number => $_[0], autonomous_system_organization => "Network $_[0]" } },
    ],
    other => ['Colours', sub { return { color => $_[0] } }],
);

my ($type, $data_of) = @{ $kinds{ $kind // '' } or die "mmdb.pl FILE country|asn|other [OPTION=VALUE...]\n" };
my $tree = MaxMind::DB::Writer::Tree->new(
    ip_version => $options{ip_version},
    record_size => $options{record_size},
    database_type => $type,
    languages => ['en'],
    description => { en => 'made by a test' },
    map_key_type_callback => sub { return $types{ $_[0] } },
    alias_ipv6_to_ipv4 => $options{ip_version} == 6,
    remove_reserved_networks => 0,
);
while (my $line = <STDIN>) {
    my ($network, @values) = split ' ', $line;
    $tree->insert_network($network, $data_of->(@values)) if defined $network;
}
$tree->_set_build_epoch($options{built});
open my $out, '>:raw', $file or die "$file: $!\n";
$tree->write_tree($out);
close $out or die "$file: $!\n";
