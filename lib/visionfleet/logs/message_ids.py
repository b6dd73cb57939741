"""Log messages with their MESSAGE_ID for the journal. No I/O here.

Ids never change, and a changed message gets a new id. `docs/journal.md` explains them.
"""

MESSAGE_IDS = {
    # jobs, in processing order
    "job accepted": "0bf8e23c71c54295a66c1138b3dbf6bf",
    "job received": "00b8a2825ef04242a8cb46a152e2e507",
    "job done": "04f4adf2ed3a4e78beab5af2ac0b0d61",
    "job failed": "73e4a21844c0468aa1726dda1f1642b6",
    "job answered": "225d6db968b543b095307624cfb04f44",
    "refused": "922b4ee6445942eaa3bdb771d97d3723",
    # jobs with problems
    "will be tried again": "64105c77ce164e5b86da5573ecdb7726",
    "image refused": "c536f9f931324c379167a3b79c27dba2",
    "waiting for S3": "df58e04e65014e0795627b3d6cdb17f0",
    "waiting for a child process": "e6c6df0c2566441ba190ad7cc76bb779",
    "image is tried once more": "a09ff62807774fc4a5fd65997011dd4b",
    "suspect, alone": "bb4a1bb706984bdc92cfd0cd278eea6a",
    "taken over": "1106494f24d04f8199b9aa3c5f117840",
    "last try, alone": "d018e26e29ae46eb97f10c1a06304459",
    "model failed": "9288214a3ea746808b711fa104935315",
    "lease lost": "1a8cc991953d43219a99e40cbc059a94",
    "handed back": "41872607ba9943b5947e18b4a10413f8",
    "messages not deleted": "588a493526ef4e1492309c3ed54fe6c4",
    "replies failed": "5e38b2fc321142cb80695b2b47ff7be8",
    "nobody waits": "2bbb8cf852704a1c8218a97ad9ac1f2c",
    "message cannot be decoded": "3ea6727c953a42d093cb5b9127d97ea3",
    "direct calls fail, boto3's do not": "64b48b33719b4ed08ed6096fa46df9f2",
    # processes
    "ready": "fefd87d4c5f741dbbc92c9b7e6f1373f",
    "stopping": "4b3dd2826ac245c481bafc51563304f3",
    "stopped": "5a563d6644e848f5b55c74bcd3720ef3",
    "draining": "32553828eba645668432cd0f4132344a",
    "drained": "08efa8b8a9d1496c9c6700e177a43a1d",
    "shutting down": "2cca01f5843a42f38f63b1a1f8010dcc",
    "no progress": "827348d2f7ac41b59b3f4380dab5f878",
    "crashed": "14e6dd38d0a445729a4b1a32a6173e4b",
    "waiting for AWS": "36573e2c3ccf4fc5875af77754962291",
    "queue differs": "eb328aa526824cdd8e820b1a758b21af",
    "bucket is in another region": "ac396b24e6434917974ecd76647dbdf9",
    "cannot start": "c8c1941c90d648539133da438a0e6a7e",
    "model cannot be used": "b9ac2e0e88dc43089fda56e4db8c66c5",
    # configuration
    "reloaded": "8b188fa9596049b6884ae607c0be1616",
    "needs a restart": "30300c03b0b44e24ae9a2a9636f3c1c3",
    "configuration faulty": "d69ad6397c3c4cdbb7909cd4485783d2",
    "configuration faulty, nothing changed": "bfff2a4adc5742dc93d4c188191dbdb7",
    "fault": "6f63c4e0d79245aea3e92b9f17a39bb5",
    # the fleet
    "decision": "b8fcc70d1b1b4c4ba34c6c2126b048e2",
    "launched": "dc6c7ce4415443d180adfe195b219fcf",
    "asked to drain": "f876bbfb8e904555b5e46a2c72796a18",
    "terminated": "730cb6b675dc45578dd2836f279a4e7f",
    "at maximum": "ba90c47f2f744ad59eef6df1d30fef05",
    "acting": "1e7302c7d59b4cd1afe6d4e618d3e146",
    "standby": "ca4f23aa33744388aedaea38c521b103",
    "lease lost, acts no more": "a60dee5cec2049bb94a9761ee17d5be8",
    "tick failed": "89506646049345e48398e58378a98de4",
    "ticks succeed again": "48646af3e19d444a9eb9fef358968856",
    "no capacity": "4c92ffc98a3b4d7a97cdd7f87c3bc25d",
    "EC2 needs a person": "ca85707bc54444adbf047775ad3bacab",
    "EC2 is well again": "8f862f15001b4f2ab594c2c57799c200",
    "EC2 warns": "3b3e877b0a12432ea57418693e437ac4",
    # the log itself
    "lines lost": "ba244f45345f46758fde07d8f6064eea",
}
