import requests

API_KEY = "sk_live_abc123..."
headers = {"Authorization": f"Bearer {API_KEY}"}

# Create campaign
response = requests.post(
    "https://api.outreach.com/v1/campaigns",
    headers=headers,
    json={
        "name": "Dentists SF",
        "business_type": "Dentists",
        "strategy": "specific_automation"
    }
)
